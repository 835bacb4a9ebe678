"""Locks: one run at a time works on a file or in a folder; the lock ends with its process, however that ends."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from trojancam.errors import TrojanCamError

if sys.platform == "win32":  # there, a file that somebody has open cannot be removed
    import msvcrt
else:
    import fcntl

_HELD: dict[Path, int] = {}  # the locks of this process, and the thread that has each
_FAR = 1 << 30  # where Windows locks a byte: the number of the process at the start stays readable


@contextmanager
def only_run_on(path: Path) -> Iterator[None]:
    """Nobody else works on this file meanwhile; the same thread may ask again.

    Raises:
        TrojanCamError: if another run does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with only_run_on(Path(folder) / "model.safetensors"):
    ...         os.listdir(folder)
    ...     os.listdir(folder)
    ['model.safetensors.lock']
    []
    """
    with _locked(path.parent / f"{path.name}.lock", f"on {path}"):
        yield


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Nobody else works in this folder meanwhile, which is made if need be; the same thread may ask again.

    Raises:
        TrojanCamError: if another run does.
    """
    with _locked(folder / ".lock", f"in {folder}"):
        yield


@contextmanager
def _locked(path: Path, where: str) -> Iterator[None]:
    try:
        path = path.resolve()
        if _HELD.get(path) == threading.get_ident():
            yield
            return
        stream = _taken(path)
    except OSError as error:
        raise TrojanCamError(
            f"cannot write to the folder {path.parent} ({error.strerror}); choose a folder you can write to"
        ) from None
    if stream is None:
        raise TrojanCamError(f"another run{_holder(path)} works {where}; wait until it ends, or choose another place")
    _HELD[path] = threading.get_ident()
    try:
        yield
    finally:
        del _HELD[path]
        with suppress(OSError):
            path.unlink(missing_ok=True)  # before it is let go: whoever waits for this file sees that it is gone
        stream.close()


def _taken(path: Path) -> IO[str] | None:
    """The lock file, open and locked, with the number of this process in it; None if somebody else has it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            stream = path.open("a+", encoding="ascii")
        except FileNotFoundError:  # whoever had the lock has removed the folder
            continue
        if not _lock(stream):
            stream.close()
            return None
        if _is_at(path, stream):
            with suppress(OSError):  # a full disk: the lock holds all the same
                os.ftruncate(stream.fileno(), 0)
                os.write(stream.fileno(), str(os.getpid()).encode())
            return stream
        stream.close()  # it was removed between opening and locking: another one counts now


def _lock(stream: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            stream.seek(_FAR)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            stream.seek(0)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(path: Path, stream: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Which process has the lock, where that can be read."""
    try:
        number = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return f" (process {number})" if number.isdecimal() else ""
