"""Failures on purpose: a command is run again and again, and each time one allocation, or one thing done to a file, fails.

The runs are made in a process that has imported what the command needs: each is a fork of it, in a folder of its own.
"""

import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.warm import Warm

REPOSITORY = Path(__file__).parents[1]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGING = {"os.rename", "os.mkdir", "os.remove", "os.chmod", "os.truncate", "tempfile.mkstemp"}
SECONDS = 120  # for one run


@dataclass(frozen=True)
class Run:
    """One run: what was made to fail, how it ended (a negative code is a signal), what it said, and the files it left."""

    kind: str
    number: int
    code: int
    said: str
    files: dict[str, int]
    happened: bool

    @property
    def what(self) -> str:
        """For messages of tests."""
        return f"{self.kind} {self.number}: code {self.code}, {self.said[-2000:]}"


def runs(python: "Warm", command: list[str], folder: Path, kinds: dict[str, list[int]]) -> list[Run]:
    """The command with each of these failures; the first run is without any.

    Kinds: `allocation` (Python's n-th fails), `file` (the n-th time that one is opened to write, renamed, removed or a folder
    is made; below zero, all from there on), `size` (no file may become larger than so many bytes).
    """
    done = python.run(
        f"from tests import injection; injection.run_all({command!r}, {str(folder)!r}, {kinds!r})", REPOSITORY
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return [Run(**json.loads(line)) for line in done.stdout.splitlines()]


def run_all(command: list[str], where: str, kinds: dict[str, list[int]]) -> None:
    """Run it with each of the failures, here, and print a line of JSON for each run."""
    import torch

    torch.set_num_threads(1)
    sys.dont_write_bytecode = True  # what a run imports late would count among the files that it writes
    folder = Path(where)
    _import_all(command, folder / "imports")
    for kind, number in _failures(kinds):
        place = folder / f"{kind}{number}"
        code, said, happened = _forked(command, place, lambda kind=kind, number=number: INJECT[kind](number))
        files = {str(path.relative_to(place)): path.stat().st_size for path in place.rglob("*") if path.is_file()}
        print(json.dumps(asdict(Run(kind, number, code, said, files, happened))), flush=True)
        if kind != "none":
            shutil.rmtree(place)


def _failures(kinds: dict[str, list[int]]) -> Iterator[tuple[str, int]]:
    yield "none", 0
    for kind, numbers in kinds.items():
        yield from ((kind, number) for number in numbers)


def _import_all(command: list[str], place: Path) -> None:
    """Run the command here once, so that all it imports is there in every fork."""
    place.mkdir()
    before, output = Path.cwd(), (sys.stdout, sys.stderr)
    os.chdir(place)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        _command(command)
    finally:
        os.chdir(before)
        sys.stdout, sys.stderr = output


def _command(command: list[str], inject: Callable[[], Any] = lambda: None) -> int:
    from trojancam.cli import app

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            inject()
            app(command, prog_name="trojancam")
        except SystemExit as error:
            return int(error.code or 0)
        except BaseException:  # what nobody catches ends Python with this code
            traceback.print_exc()
            return 1
    return 0


def _forked(command: list[str], place: Path, inject: Callable[[], Any]) -> tuple[int, str, bool]:
    """The code, the words, and whether the failure happened, of a run in a process of its own."""
    place.mkdir()
    log = place.with_suffix(".log")
    child = os.fork()
    if child == 0:
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(place)
        signal.alarm(SECONDS)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        code = _command(command, inject)
        HAPPENED.armed = False
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    said = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    happened = (place.parent / f"{place.name}.happened").exists()
    (place.parent / f"{place.name}.happened").unlink(missing_ok=True)
    return os.waitstatus_to_exitcode(status), said, happened


class _Happened:
    """How often something was done to a file, in this process, and which time is to fail."""

    def __init__(self) -> None:
        self.armed, self.count, self.fails, self.mark = False, 0, 0, ""

    def file(self, number: int) -> None:
        """Let the n-th time fail, or all from there on."""
        self.fails, self.mark = number, f"{Path.cwd()}.happened"
        self.armed = True
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed or not self._writes(event, arguments):
            return
        self.count += 1
        if self.count == self.fails or (self.fails < 0 and self.count >= -self.fails):
            self.armed = False
            os.close(os.open(self.mark, os.O_CREAT | os.O_WRONLY))
            self.armed = self.fails < 0
            raise OSError(28, "No space left on device", str(arguments[0]) if arguments else None)

    @staticmethod
    def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return bool(isinstance(path, str | bytes | Path) and isinstance(flags, int) and flags & WRITING)
        return event in CHANGING


HAPPENED = _Happened()


def _allocation(number: int) -> None:
    import _testcapi

    _testcapi.set_nomemory(number, number + 1)


def _size(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))


INJECT: dict[str, Callable[[int], None]] = {
    "none": lambda _: None,
    "allocation": _allocation,
    "file": HAPPENED.file,
    "size": _size,
}
