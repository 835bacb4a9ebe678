"""Whole commands: seconds and peak memory of a process of their own."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("trojancam"))


@dataclass(frozen=True)
class Run:
    seconds: float
    megabytes: float


def help_page() -> Run:
    return min((_run([COMMAND, "--help"]) for _ in range(7)), key=lambda run: run.seconds)


def streaming() -> Run:
    with tempfile.TemporaryDirectory() as folder:
        return _run([sys.executable, "-m", "benchmarks.streaming", folder])


def demo() -> tuple[Run, Run]:
    """The first run, which trains, and a second one, which finds both networks in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [COMMAND, "demo", "--out", f"{folder}/page"]
        environment = os.environ | {"TROJANCAM_CACHE": f"{folder}/cache"}
        return _run(arguments, environment), _run(arguments, environment)


def _run(arguments: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a command; its own peak memory, from what the kernel says of the child once it has ended."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return Run(time.perf_counter() - started, _megabytes(usage))


def _megabytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)
