"""Faults: what a command says, keeps and exits with when it fails in a way that nobody foresaw.

An exit code of a failure must never be that of a verdict, so every exception that a command lets through ends here.
"""

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from trojancam.version import __version__

NOTHING_FOUND, EVIDENCE, MENDABLE, INCONCLUSIVE, FAULT = range(5)
INTERRUPTED = 130  # what a shell gives for ctrl-C
SCAN_CODES = {
    "nothing found": NOTHING_FOUND,
    "backdoor": EVIDENCE,
    "inconclusive": INCONCLUSIVE,
    "not judged": INCONCLUSIVE,
}
"""What `trojancam scan` exits with, by its verdict."""
EXIT_CODES = (
    "Exit codes: 0 done, or nothing found in what was searched; 1 evidence of a backdoor; 2 an error that you can fix; "
    "3 inconclusive or not judged; 4 a fault of TrojanCAM, or not enough memory; 130 interrupted."
)
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "pillow",
    "safetensors",
    "onnx",
    "keras",
    "h5py",
    "matplotlib",
    "typer",
    "fastapi",
)
KEPT = 20  # logs, the latest
LONGEST = 200  # characters of an exception's words
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "unable to allocate",
    "could not allocate",
)


class ForeignExitError(Exception):
    """Code that a command ran, such as an architecture of the user's own, tried to end the process."""


def in_words(error: BaseException, log: Path | None) -> str:
    """One sentence: what failed, whose fault that is, and where the traceback lies."""
    kept = f"; the traceback is in {log}" if log else "; run it again with --debug to see the traceback"
    cause = out_of_memory(error)
    if cause is not None:
        return (
            f"there is not enough memory ({_short(cause)}); take fewer or smaller images, or a machine with more{kept}"
        )
    return f"TrojanCAM failed by a fault of its own ({_short(error)}), so there is no result; please report it{kept}"


def out_of_memory(error: BaseException) -> BaseException | None:
    """The exception, or the one that it was made from, that is about memory: PyTorch raises RuntimeError for that."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        words = str(cause).lower() if isinstance(cause, RuntimeError) else ""
        if isinstance(cause, MemoryError) or any(known in words for known in OUT_OF_MEMORY):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def memory_missed() -> Iterator[None]:
    """What lacked memory where no exception can be raised, as in a function that a library calls back, is raised at the end.

    Raises:
        MemoryError: or what else was about memory.
    """
    missed, before = list[BaseException](), sys.unraisablehook

    def hook(told: Any) -> None:
        if told.exc_value is not None and out_of_memory(told.exc_value) is not None:
            missed.append(told.exc_value)
        else:
            before(told)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
    if missed:
        raise missed[0]


def logged(error: BaseException) -> Path | None:
    """Where the traceback was written: the cache, else the folder for temporary files; None if neither takes it."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        text = report(error)
    except Exception:  # such as one whose __str__ raises
        return None
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            for old in sorted(folder.glob("*.txt"))[:-KEPT]:
                old.unlink(missing_ok=True)
            return folder / name
        except OSError:
            continue
    return None


def report(error: BaseException) -> str:
    """What a report of the fault needs: the command, the versions, and the traceback."""
    told = "".join(traceback.format_exception(error))
    versions = [f"{name} {found}" for name in LIBRARIES if (found := _version_of(name))]
    return (
        f"trojancam {__version__}, Python {platform.python_version()}, {platform.platform()}\n{', '.join(versions)}\n"
        f"command: {sys.argv!r}\n\n{told}"
    )


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _folders() -> list[Path]:
    folders = [Path(tempfile.gettempdir()) / f"trojancam-faults-{os.getuid() if hasattr(os, 'getuid') else ''}"]
    try:
        from trojancam.files import cache_folder

        return [cache_folder("faults"), *folders]
    except Exception:  # the cache cannot be written
        return folders


def _short(error: BaseException) -> str:
    try:
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    except Exception:
        line = ""
    return f"{type(error).__name__}{': ' if line else ''}{line[:LONGEST]}"
