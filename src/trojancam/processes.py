"""Processes that are started: each works in a folder of ours, and imports nothing from the current one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, SubprocessError, TimeoutExpired
from typing import Any

__all__ = ["DEVNULL", "PIPE", "Popen", "SubprocessError", "TimeoutExpired", "begun", "finished", "python"]


def python(*arguments: str) -> list[str]:
    """The command that starts this Python again, without the current folder on its path.

    >>> python("-m", "json.tool")[1:]
    ['-P', '-m', 'json.tool']
    """
    return [sys.executable, "-P", *arguments]


def begun(command: Sequence[str], folder: Path, **options: Any) -> "Popen[Any]":
    """Start a process that works in a folder of ours."""
    return Popen(command, cwd=folder, env=_environment(), **options)


def finished(command: Sequence[str], folder: Path, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run a process that works in a folder of ours, to its end.

    Raises:
        subprocess.SubprocessError: if it fails, or takes longer than the option `timeout` says.
    """
    return subprocess.run(command, cwd=folder, env=_environment(), check=True, **options)


def _environment() -> dict[str, str]:
    """That of this process; what is to be imported comes from where it comes from here, and never from the current folder."""
    environment = dict(os.environ)
    places = environment.pop("PYTHONPATH", "").split(os.pathsep)
    known = os.pathsep.join(str(Path(place).resolve()) for place in places if place)
    return {**environment, "PYTHONPATH": known} if known else environment
