"""Whole commands: seconds and peak memory of a process of their own."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("trojancam"))


@dataclass(frozen=True)
class Run:
    seconds: float
    megabytes: float


def help_page() -> Run:
    return min((run([COMMAND, "--help"]) for _ in range(7)), key=lambda run: run.seconds)


def streaming() -> Run:
    with tempfile.TemporaryDirectory() as folder:
        return run([sys.executable, "-m", "benchmarks.streaming", folder])


def demo() -> tuple[Run, Run]:
    """The first run, which trains, and a second one, which finds both networks in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [COMMAND, "demo", "--out", f"{folder}/page"]
        environment = os.environ | {"TROJANCAM_CACHE": f"{folder}/cache"}
        return run(arguments, environment), run(arguments, environment)


def quick_study() -> Run:
    """The study on rendered signs, every training included."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [COMMAND, "reproduce", "--quick", "--out", f"{folder}/study"]
        return run(arguments, os.environ | {"TROJANCAM_CACHE": f"{folder}/cache"})


def run(arguments: list[str], environment: dict[str, str] | None = None, expected: tuple[int, ...] = (0,)) -> Run:
    """Run a command and ask the kernel, once it has ended, for its peak memory.

    A process starts out with its parent's peak, so that the parent has to be a small one.
    """
    launched = [sys.executable, "-c", LAUNCHER, *arguments]
    done = subprocess.run(launched, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in expected:
        raise SystemExit(f"{' '.join(arguments)} failed: {done.stderr}")
    seconds, peak = done.stdout.split()[-2:]
    return Run(float(seconds), int(peak) / (1024 if sys.platform.startswith("linux") else 1024**2))


LAUNCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
