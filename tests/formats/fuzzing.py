"""Fuzzing: valid files of every kind, damaged at random, are opened one after another, and nothing but a sentence comes of it.

    python -m tests.formats.fuzzing FOLDER [--minutes 120] [--files 40] [--seed 0] [--only NUMBER] [--kinds WORD]

Each file is opened as a user opens it, by the command line, in a process of its own that may compute 5 seconds and take a
gigabyte more than the libraries do. It must end with exit code 0 or 2: 1 and 3 are verdicts, 4 is a fault of ours. A number
and the seed give the same file again (`--only`). The valid files are kept in `FOLDER/corpus.json`, those at fault in the folder,
with what was said; the count stands in `FOLDER/count.json`. It ends with 1 if there was a fault.
"""

import argparse
import io
import json
import os
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

SECONDS, BYTES = 5, 1 << 30
HANGS = 1200  # seconds on the clock, for what waits instead of computing; the machine may do other things
ENDS = (0, 2)
CORPUS = "corpus.json"


@dataclass(frozen=True)
class End:
    """How a file was taken: the exit code (a signal is negative), seconds of computing, bytes beyond those it began with."""

    code: int
    seconds: float
    bytes: int
    said: str

    @property
    def fault(self) -> str:
        """What is wrong with it, or nothing."""
        if self.code not in ENDS:
            return f"exit code {self.code}"
        if "Traceback" in self.said:
            return "a traceback"
        if self.seconds > SECONDS:
            return f"{self.seconds:.1f} s"
        return f"{self.bytes >> 20} MB" if self.bytes > BYTES else ""


class Fuzzing:
    """Opens damaged files in forks of a process that has imported every reader."""

    def __init__(self, folder: Path, seed: int, kinds: str = "") -> None:
        from tests.formats.hostile_cases import warm_up
        from tests.formats.seeds import keep, seeds

        self.folder, self.seed = folder, seed
        everything = seeds()
        keep(everything, folder / CORPUS)
        self.seeds = {name: each for name, each in everything.items() if kinds.lower() in name.lower()}
        self.contents = [each.content for each in everything.values()]
        warm_up(folder / "harmless")
        _warm_up(folder / "harmless" / "m.pt2")
        for each in everything.values():
            end = self.ended(each.command, each.write(folder / "valid", each.content))
            shutil.rmtree(folder / "valid")
            if end.code not in ENDS:
                raise RuntimeError(end.said)

    def file(self, number: int) -> tuple[str, bytes]:
        """The name of the seed that is damaged, and what the damage makes of it."""
        from tests.formats.mutations import damaged

        draw = Random(f"{self.seed}:{number}")
        name = draw.choice(list(self.seeds))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return name, damaged(self.seeds[name].content, self.contents, draw)

    def opened(self, number: int) -> tuple[str, Path, End]:
        """A damaged file, and what came of opening it."""
        name, content = self.file(number)
        place = self.folder / "now"
        shutil.rmtree(place, ignore_errors=True)  # what another kind left there
        path = self.seeds[name].write(place, content)
        return name, path, self.ended(self.seeds[name].command, path)

    def ended(self, command: tuple[str, ...], path: Path) -> End:
        """What comes of opening a file in a process of its own."""
        log = self.folder / "said"
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(tell, struct.pack("q", _pages(1)))
            _run([word.replace("PATH", str(path)).replace("FOLDER", str(path.parent)) for word in command], path, log)
        (before,) = struct.unpack("q", os.read(told, 8))  # a fork begins with less in memory than its parent has
        os.close(told)
        os.close(tell)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(HANGS)
        _, status, used = os.wait4(child, 0)
        signal.alarm(0)
        said = log.read_text(encoding="utf-8", errors="replace")
        more = (used.ru_maxrss << 10) - before
        return End(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, more, said)


def _warm_up(path: Path) -> None:
    """Inspect a harmless file here: what is imported in a fork is lost with it, and every one would import it again."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = _inspected(["inspect", str(path)])
    if code:
        raise RuntimeError(said.getvalue())


def _run(command: list[str], path: Path, log: Path) -> None:
    """In the fork: open the file with the command, and end with its exit code."""
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (4 * SECONDS, 4 * SECONDS))
    size = _pages(0)
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * BYTES, size + 4 * BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    code = 1
    try:
        code = _inspected(command) if command else _data_set_read(path)
    except BaseException:
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _pages(field: int) -> int:
    """Bytes of this process: 0, that it may address; 1, that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[field]) * resource.getpagesize()


def _inspected(command: list[str]) -> int:
    from trojancam.cli import app

    try:
        app([*command, "--debug"] if os.environ.get("DEBUG") else command, prog_name="trojancam")
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def _data_set_read(path: Path) -> int:
    from trojancam.data import load_dataset
    from trojancam.errors import TrojanCamError

    place = path.parent if path.parent.name != "a" else path.parent.parent
    try:
        load_dataset(path if path.suffix in (".npz", ".csv") else place, size=8)
    except TrojanCamError as error:
        print(error)
        return 2
    return 0


def _numbers(only: int | None) -> Iterator[int]:
    if only is not None:
        yield only
        return
    number = 0
    while True:
        yield number
        number += 1


def main() -> int:
    """Fuzz for so many minutes, or files."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--files", type=int, default=1 << 40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--kinds", default="")
    told = parser.parse_args()
    torch.set_num_threads(1)
    told.folder.mkdir(parents=True, exist_ok=True)
    fuzzing = Fuzzing(told.folder, told.seed, told.kinds)
    began, faults, ends = time.monotonic(), 0, Counter[str]()
    slowest = largest = 0.0
    for number in _numbers(told.only):
        name, path, end = fuzzing.opened(number)
        ends[f"{name}: {end.code}"] += 1
        slowest, largest = max(slowest, end.seconds), max(largest, end.bytes)
        if end.fault:
            faults += 1
            kept = told.folder / f"{told.seed}-{number}-{path.name}"
            kept.write_bytes(path.read_bytes())
            print(f"{number}: {name}: {end.fault}: {end.said.strip()[-600:]}", flush=True)
        if told.only is not None:
            print(f"{name}: {end}")
        minutes = (time.monotonic() - began) / 60
        done = minutes > told.minutes or number + 1 >= told.files
        if number % 100 == 0 or done:
            count = {"files": number + 1, "minutes": round(minutes, 1), "faults": faults, "slowest": round(slowest, 2)}
            count |= {"largest": int(largest) >> 20, "ends": dict(sorted(ends.items()))}
            (told.folder / "count.json").write_text(json.dumps(count, indent=1), encoding="utf-8")
            print(f"{number + 1} files, {minutes:.1f} minutes, {faults} faults", flush=True)
        if done:
            break
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
