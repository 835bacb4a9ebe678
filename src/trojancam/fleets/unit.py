"""Unit of work: one file, the images it is tried on, and the settings; the same unit always comes to the same result."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from trojancam.data.image_files import system_errors
from trojancam.data.places import is_rendered
from trojancam.errors import DataError
from trojancam.files import digest
from trojancam.fleets.manifest import LATER, Entry
from trojancam.formats.inspection import sha256
from trojancam.formats.weights.own_code import SOURCE
from trojancam.records import Record
from trojancam.text import as_text
from trojancam.version import __version__

Task = Literal["scan", "inspect", "repair", "compare"]
USUAL_IMAGES: dict[Task, int] = {"scan": 100, "inspect": 2000, "repair": 5, "compare": 256}  # as the commands take them


class Settings(Record):
    """What is done with every model of a fleet, as options of the commands say it; `images` is their number (None: the usual).

    `methods` are of the task: detectors of a scan, attribution methods of a comparison; of a repair it is its one method.
    """

    task: Task = "scan"
    images: int | None = None
    methods: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    budget: str | None = None
    reference: Path | None = None
    changed: tuple[str, ...] = ()
    seed: int = 0

    @property
    def count(self) -> int:
        """How many images are taken; of a repair, of each class."""
        return USUAL_IMAGES[self.task] if self.images is None else self.images


class Unit(Record):
    """A file by its path and SHA-256, its images by their fingerprint, what is said of the file, and the settings.

    `code` is the folder from which an architecture of the user's own is imported, `own_code` the SHA-256 of the Python file that
    is named as the architecture, if one is; what that file imports does not count.
    """

    entry: Entry
    sha256: str
    data: str
    settings: Settings
    code: Path
    reference: str = ""
    own_code: str = ""

    @property
    def key(self) -> str:
        """What the result depends on, in 32 hexadecimal digits: not on where the file lies."""
        said = self.entry.model_dump(mode="json", exclude={"path", "file", "data"})
        said = {name: value for name, value in said.items() if value is not None or name not in LATER}
        settings = self.settings.model_dump(mode="json", exclude={"reference"})
        if self.entry.architecture is not None and ":" in self.entry.architecture:
            said["code"] = self.own_code or str(self.code)
        return _hash([__version__, self.sha256, self.data, said, settings, self.reference])

    @property
    def folder_name(self) -> str:
        """The folder of its page: the file's name as far as every system takes it, and the start of the key."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", as_text(self.entry.path.name)).strip("-.")[:60]
        return f"{stem or 'model'}-{self.key[:12]}"


class Units:
    """Makes units of entries; what many share is fingerprinted once.

    Raises:
        DataError: if the reference cannot be read.
    """

    def __init__(self, settings: Settings, data: Path | None, code: Path) -> None:
        self.settings, self.data, self.code = settings, data, code
        self.reference = "" if settings.reference is None else data_fingerprint(settings.reference)
        self._known: dict[Path | None, str] = {}

    def of(self, entry: Entry) -> Unit:
        """The unit of an entry: the file is read whole, its data once for all that have the same.

        Raises:
            TrojanCamError: if the file or its data cannot be read.
        """
        data = entry.data or self.data
        own = sha256(entry.path)
        if data not in self._known:
            self._known[data] = self._fingerprint(data)
        entry = entry.model_copy(update={"data": data})
        return Unit(
            entry=entry,
            sha256=own,
            data=self._known[data],
            settings=self.settings,
            code=self.code,
            reference=self.reference,
            own_code=self._own_code(entry.architecture),
        )

    def _own_code(self, architecture: str | None) -> str:
        file = self.code / Path((architecture or "").rpartition(":")[0]).expanduser()
        return sha256(file) if file.suffix == SOURCE and file.is_file() else ""

    def _fingerprint(self, data: Path | None) -> str:
        if data is not None:
            return data_fingerprint(data)
        if self.settings.task == "inspect":
            return ""
        from trojancam.data.rendered.signs import RENDERED

        return RENDERED


def data_fingerprint(path: Path) -> str:
    """The SHA-256 of a file, or of all names and contents in a folder, in 32 hexadecimal digits; a name is its own.

    Raises:
        DataError: if there is nothing, or it cannot be read.
    """
    if is_rendered(path):
        return str(path)
    if not path.exists():
        raise DataError(f"{path} is missing; name a file or a folder with images")
    with system_errors():
        if path.is_file():
            return _hash([digest(path)])
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return _hash([[as_text(each.relative_to(path).as_posix()), digest(each)] for each in files])


def _hash(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
