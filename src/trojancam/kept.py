"""Kept: finished steps of long work, each in a file that is whole or absent, bound to its run and checked by its SHA-256.

A step is a safetensors file whose metadata name the run, hold plain data beside the tensors, and give the SHA-256 of the
whole file, in which the place of that number itself counts as zeros. Files of other kinds are kept by a note beside them: a
step that holds the SHA-256 of each. What is damaged is said in a sentence, and made anew.
"""

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from trojancam.errors import TrojanCamWarning
from trojancam.files import named_in_text, writable_folder, written_whole
from trojancam.showing import Brief

SUFFIX = ".kept"
RUN, DATA, DIGEST = "run", "data", "sha256"  # the keys of a step's metadata
_BEFORE_DIGEST = b'"sha256":"'  # in a header's JSON: within a text its quotes would be escaped
_ZEROS = "0" * 64
_LARGEST_HEADER = 100_000_000  # what safetensors allows
_CHUNK = 1 << 20

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Step(Brief):
    """What a finished step came to: tensors by name, plain data, and the run that it belongs to."""

    run: str
    tensors: dict[str, Tensor]
    data: Any


def write_step(path: Path, run: str, tensors: Mapping[str, Tensor] | None = None, data: Any = None) -> None:
    """Keep what a step came to; a run that is killed meanwhile leaves the old file, or none.

    Raises:
        TrojanCamError: if the file cannot be written.
    """
    values = _apart(tensors or {})
    with written_whole(path) as partial:
        save_file(values, partial, metadata={RUN: run, DATA: json.dumps(data), DIGEST: _ZEROS})
        with partial.open("r+b") as stream:
            place, digest = _place(stream), _digest(stream)
            stream.seek(place)
            stream.write(digest)


def read_step(path: Path) -> Step | None:
    """What was kept; None if there is nothing, or it is damaged, which a warning says.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_step(Path(folder) / "step.kept", "run 1", {"x": torch.arange(2)}, {"seconds": 3})
    ...     read_step(Path(folder) / "step.kept")
    Step(run='run 1', tensors={'x': int64[2]}, data={'seconds': 3})
    """
    try:
        with path.open("rb") as stream:
            place = _place(stream)
            stream.seek(place)
            whole = stream.read(len(_ZEROS)) == _digest(stream)
        if whole:
            with named_in_text(path) as named, safetensors.safe_open(named, framework="pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                return Step(metadata[RUN], tensors, json.loads(metadata[DATA]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
        pass
    warn_damaged(path)
    return None


def keep_files(note: Path, run: str, files: Iterable[Path]) -> None:
    """Keep files that were written whole already: their SHA-256 go into a note, which stands above or beside them.

    Raises:
        TrojanCamError: if the note cannot be written.
    """
    named = {os.path.relpath(path, note.parent): _sha256(path) for path in files}
    write_step(note, run, data={"files": named})


def files_kept(note: Path, run: str) -> bool:
    """Whether all files of a note are there as they were kept, by the same run; a warning names one that is damaged."""
    step = read_step(note)
    if step is None or step.run != run:
        return False
    for name, digest in step.data["files"].items():
        path = note.parent / name
        try:
            found = _sha256(path)
        except FileNotFoundError:
            return False
        except OSError:
            found = ""
        if found != digest:
            warn_damaged(path)
            return False
    return True


class Kept:
    """What the steps of one run came to, by name, in a folder of files (or nowhere: then every step is done when asked for).

    A step that was done before, by a run of the same name, is read; what it holds is what was computed, to the last
    bit. A step of another run, or one that is damaged, is done again. `timing` tells the seconds of each.
    """

    def __init__(self, folder: Path | None = None, run: str = "") -> None:
        self.folder = writable_folder(folder) if folder else None
        self.run = run
        self.timing: dict[str, float] = {}

    def step(self, name: str, work: Callable[[], Values]) -> dict[str, Tensor]:
        """The tensors that `work` gives, now or when it was done before: on the processor, wherever they were computed."""
        return self._done(
            name,
            lambda: Step(self.run, {key: value.detach().cpu().contiguous() for key, value in work().items()}, None),
        ).tensors

    def data(self, name: str, work: Callable[[], Any]) -> Any:
        """The plain data, as JSON has it, that `work` gives, now or when it was done before."""
        return self._done(name, lambda: Step(self.run, {}, json.loads(json.dumps(work())))).data

    def clear(self) -> None:
        """Forget everything: the run is finished."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _done(self, name: str, work: Callable[[], Step]) -> Step:
        started = time.perf_counter()
        path = self.folder / f"{quote(name, safe=' ')}{SUFFIX}" if self.folder else None
        step = read_step(path) if path else None
        if step is None or step.run != self.run:
            step = work()
            if path:
                write_step(path, self.run, step.tensors, step.data)
        self.timing[name] = time.perf_counter() - started
        return step


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each whole and with memory of its own."""
    values: dict[str, Tensor] = {}
    seen = set()
    for name, value in tensors.items():
        values[name] = value.detach().contiguous()
        if (place := values[name].untyped_storage().data_ptr()) in seen:
            values[name] = values[name].clone()
        seen.add(place)
    return values


def warn_damaged(path: Path) -> None:
    """Say that what was kept here is damaged, and that it is made anew."""
    warnings.warn(f"{path} is damaged; what it held is made again", TrojanCamWarning, stacklevel=4)


def _place(stream: BinaryIO) -> int:
    """Where the file gives its own SHA-256.

    Raises:
        ValueError: if it does not.
    """
    stream.seek(0)
    length = int.from_bytes(stream.read(8), "little")
    if length > _LARGEST_HEADER:
        raise ValueError("no header of safetensors")
    return 8 + stream.read(length).index(_BEFORE_DIGEST) + len(_BEFORE_DIGEST)


def _digest(stream: BinaryIO) -> bytes:
    """The SHA-256 of the file, in which the place of that number itself counts as zeros, in hexadecimal digits."""
    place = _place(stream)
    stream.seek(0)
    digest = hashlib.sha256(stream.read(place))
    digest.update(_ZEROS.encode())
    stream.seek(len(_ZEROS), os.SEEK_CUR)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest().encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
