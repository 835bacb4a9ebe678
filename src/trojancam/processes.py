"""Processes that are started: each works in a folder of ours, and imports nothing from the current one."""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, SubprocessError, TimeoutExpired
from typing import Any

__all__ = [
    "CAN_FORK",
    "DEVNULL",
    "PIPE",
    "Popen",
    "SubprocessError",
    "TimeoutExpired",
    "begun",
    "finished",
    "forked",
    "peak_bytes",
    "python",
]


CAN_FORK = hasattr(os, "fork")  # whether this system copies processes
FAILED = 70  # the exit code of a copy whose work raised an exception


def python(*arguments: str) -> list[str]:
    """The command that starts this Python again, without the current folder on its path.

    >>> python("-m", "json.tool")[1:]
    ['-P', '-m', 'json.tool']
    """
    return [sys.executable, "-P", *arguments]


def begun(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None, **options: Any) -> "Popen[Any]":
    """Start a process that works in a folder of ours; `more` is put into its environment."""
    return Popen(command, cwd=folder, env={**_environment(), **(more or {})}, **options)


def finished(command: Sequence[str], folder: Path, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run a process that works in a folder of ours, to its end.

    Raises:
        subprocess.SubprocessError: if it fails, or takes longer than the option `timeout` says.
    """
    return subprocess.run(command, cwd=folder, env=_environment(), check=True, **options)


def peak_bytes() -> int | None:
    """The most memory that this process had so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forked(work: Callable[[], int]) -> int:
    """Do work in a copy of this process, which must have one thread; the copy ends with the exit code that the work gives.

    Nothing is imported anew: a copy has what its parent has imported. It never returns, and runs no `finally` of the parent.
    The number of the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    number = os.fork()
    if number:
        return number
    code = FAILED
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _environment() -> dict[str, str]:
    """That of this process; what is to be imported comes from where it comes from here, and never from the current folder."""
    environment = dict(os.environ)
    places = environment.pop("PYTHONPATH", "").split(os.pathsep)
    known = os.pathsep.join(str(Path(place).resolve()) for place in places if place)
    return {**environment, "PYTHONPATH": known} if known else environment
