"""Children: scans and repairs, each in a process of its own, so that it can be cancelled or killed without harm to the rest."""

import hashlib
import itertools
import shutil
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from trojancam.data.image_set import ImageSet
from trojancam.explore.child import Kind, Report, Running
from trojancam.explore.models import Model
from trojancam.explore.refusals import TakenError, UnknownError
from trojancam.explore.session import Session, unlikely_twice
from trojancam.explore.subjects import RepairRequest, ScanRequest
from trojancam.files import cache_folder

KEPT = 16  # children whose reports are kept

Asked = TypeVar("Asked", ScanRequest, RepairRequest)


class Children(ABC, Generic[Asked]):
    """Children of one kind in a session, one at a time; their steps are kept in the cache until they are finished."""

    kind: Kind
    letter: str

    def __init__(self, session: Session, command: Sequence[str]) -> None:
        self._session, self._command = session, command
        self._children: OrderedDict[str, Running] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, asked: Asked) -> str:
        """Begin one; whoever asks for the one that is running gets that. Its identifier.

        Raises:
            TakenError: if another one is running.
            TrojanCamError: if there is no such model or method.
        """
        self._check(asked)
        model = self._session.model(asked.model)
        with self._lock:
            for identifier, child in self._children.items():
                if child.state == "running":
                    if child.asked == asked:
                        return identifier
                    noun = self.kind.noun
                    raise TakenError(f"another {noun} is running; wait until it is done, or cancel it", identifier)
            identifier = unlikely_twice(f"{self.letter}{next(self._numbers)}")
            self._children[identifier] = self._begun(identifier, model, asked)
            self._forget_old()
        return identifier

    @property
    def running(self) -> str | None:
        """The identifier of the one that is running, if one is."""
        return next((name for name, child in list(self._children.items()) if child.state == "running"), None)

    def child(self, identifier: str) -> Running:
        """The one of this identifier.

        Raises:
            UnknownError: if there is none, or no longer.
        """
        child = self._children.get(identifier)
        if child is None:
            noun = self.kind.noun
            raise UnknownError(f"this {noun} is not, or no longer, known to the explorer; start it again")
        return child

    def told(self, identifier: str) -> dict[str, Any]:
        """What a page is told of it.

        Raises:
            UnknownError: if there is none, or no longer.
        """
        return self.child(identifier).told_to_page()

    def cancel(self, identifier: str) -> None:
        """End one that is running; its finished steps are kept.

        Raises:
            UnknownError: if there is no such one.
        """
        self.child(identifier).cancel()

    def page(self, identifier: str) -> str:
        """The report of a finished one as a page.

        Raises:
            UnknownError: if there is no such one, or it is not finished.
        """
        return self._made(identifier, f"{self.kind.noun}.html").read_text(encoding="utf-8")

    def results(self, identifier: str) -> bytes:
        """The report of a finished one as JSON.

        Raises:
            UnknownError: if there is no such one, or it is not finished.
        """
        return self._made(identifier, self.kind.document).read_bytes()

    def close(self) -> None:
        """End all that is running."""
        for identifier in list(self._children):
            self.cancel(identifier)

    @abstractmethod
    def _check(self, asked: Asked) -> None:
        """Refuse what cannot be begun."""

    @abstractmethod
    def _job(self, folder: Path, model: Model, asked: Asked) -> Any:
        """What the process is to do, left in its folder."""

    @abstractmethod
    def _learn(self, identifier: str, child: Running, report: Report) -> None:
        """Take in what one that is finished found; `child.rates` are those of feature maps."""

    def _made(self, identifier: str, name: str, otherwise: str = "") -> Path:
        path = self.child(identifier).folder / name
        if not path.is_file():
            raise UnknownError(otherwise or f"the {self.kind.noun} has no report yet; wait until it is done")
        return path

    def _begun(self, identifier: str, model: Model, asked: Asked) -> Running:
        folder = self._session.folder / identifier
        folder.mkdir()
        child = Running(asked, folder, self._job(folder, model, asked), self.kind)
        child.begin(self._command, lambda report: self._learn(identifier, child, report))
        return child

    def _forget_old(self) -> None:
        over = [name for name, child in self._children.items() if child.state != "running"][
            : max(0, len(self._children) - KEPT)
        ]
        for name in over:
            shutil.rmtree(self._children.pop(name).folder, ignore_errors=True)


def journal(kind: str, model: Model, asked: tuple[object, ...], *images: ImageSet) -> Path:
    """Where steps of a run are kept: the same for the same network, settings and images, so that it goes on after a restart."""
    run = hashlib.sha256(" ".join(map(str, (model.network.fingerprint, *asked))).encode())
    for each in images:
        run.update(each.images.contiguous().numpy().tobytes())
    return cache_folder(kind, run.hexdigest()[:32])


def common(model: Model) -> dict[str, Any]:
    """The parts of a job that say which network it is about, and how it is fed."""
    network, source = model.network, model.source
    return {
        "path": source.path.resolve(),
        "architecture": source.architecture,
        "output": source.output,
        "key": source.key,
        "preprocessing": network.input,
        "class_names": network.class_names,
        "code": Path.cwd(),
    }
