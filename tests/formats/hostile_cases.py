"""All hostile files in one list: what each is, how a user opens it, and what must come of that.

Run as a program on a folder, it writes and opens all of them there, as `trojancam inspect` does, in processes of their own,
each of which leaves a line of JSON for each file that it opened: that is how tests measure time and memory.
"""

import json
import os
import resource
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.formats import (
    hostile_keras,
    hostile_left_alone,
    hostile_onnx,
    hostile_paths,
    hostile_pytorch,
    hostile_safetensors,
)
from tests.formats.memory import peak_kilobytes

SECONDS, MEGABYTES, PROCESSES = 5, 1024, 2
REPOSITORY = Path(__file__).parents[2]
SMALL = "tests.formats.hostile_pytorch:small"
REFUSED, OPENED = "refused", "opened"
LEFT_ALONE = "Hidden where no reader looks"


@dataclass(frozen=True)
class Case:
    """One hostile file: `write` makes it in a folder, such that a canary appears if anything in it runs."""

    format: str
    idea: str
    name: str
    write: Callable[[Path, Path], Path]
    architecture: str | None = None
    expected: str = REFUSED

    @property
    def key(self) -> str:
        """What it is called among all of them."""
        return f"{self.format}: {self.name}"


@dataclass(frozen=True)
class Outcome:
    """What came of opening a file: the sentence that refused it, seconds of computing, and the most megabytes so far."""

    key: str
    outcome: str
    said: str
    path: str
    seconds: float
    megabytes: int
    ran: bool


def _cases() -> Iterator[Case]:
    yield from _of("Any path", hostile_paths.IDEAS, SMALL)
    yield from _of("PyTorch weights", hostile_pytorch.WEIGHTS, SMALL)
    yield from _of("safetensors", hostile_safetensors.CARDLESS, SMALL)
    yield from _of("safetensors", hostile_safetensors.CLAIMING, "resnet")
    yield from _of("safetensors", hostile_safetensors.CARDED)
    yield from _of("Exported programs", hostile_pytorch.PROGRAMS)
    yield from _of("ONNX", {idea: _without_canary(files) for idea, files in hostile_onnx.IDEAS.items()})
    yield from _of("Keras", hostile_keras.IDEAS)
    yield from _of(LEFT_ALONE, {"beside weights": hostile_left_alone.PYTORCH}, SMALL, OPENED)
    yield from _of(LEFT_ALONE, {"in a file with a network of its own": hostile_left_alone.OTHERS}, None, OPENED)


def _of(
    format: str, ideas: dict[str, dict[str, Any]], architecture: str | None = None, expected: str = REFUSED
) -> Iterator[Case]:
    for idea, files in ideas.items():
        for name, write in files.items():
            yield Case(format, idea, name, write, architecture, expected)


def _without_canary(files: dict[str, Callable[[Path], Path]]) -> dict[str, Callable[[Path, Path], Path]]:
    """ONNX holds no code that could write one."""
    return {name: lambda folder, _, write=write: write(folder) for name, write in files.items()}  # type: ignore[misc]


CASES = {case.key: case for case in _cases()}


def outcomes(folder: Path) -> dict[str, Outcome]:
    """What comes of every file, in two processes of their own, each of which opens half of them.

    Raises:
        RuntimeError: if one of them ends before it has opened all of its files.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "KERAS_BACKEND": "torch",
            "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    found: dict[str, Outcome] = {}
    for part in range(PROCESSES):
        written = _lines(folder, part)
        lines = written.read_text(encoding="utf-8").splitlines() if written.exists() else []
        read = [Outcome(**json.loads(line)) for line in lines]
        if done.returncode or done.stderr or len(read) != len(_keys(part)):
            last = read[-1].key if read else "nothing"
            raise RuntimeError(
                f"opening hostile files ended after {last}, code {done.returncode}: {done.stderr[-3000:]}"
            )
        found |= {outcome.key: outcome for outcome in read}
    return {key: found[key] for key in CASES}


def _lines(folder: Path, part: int) -> Path:
    """Where a process leaves what came of its part of the files."""
    return folder / f"{part}.jsonl"


def _keys(part: int) -> list[str]:
    return list(CASES)[part::PROCESSES]


def opened(path: Path, architecture: str | None) -> None:
    """Open a file as `trojancam inspect` does, and have the network in it look at two images."""
    import torch

    from trojancam.formats.inspection import inspection
    from trojancam.formats.kinds import WEIGHTS, kind_of
    from trojancam.network.input import InputSpecification
    from trojancam.opening.open import load

    inspection(path)
    architecture = architecture if kind_of(path) in WEIGHTS else None
    network = load(
        path, architecture=architecture, preprocessing=InputSpecification(size=(8, 8)) if architecture else None
    )
    network(torch.zeros(2, 3, *network.input.size))


def outcome(case: Case, folder: Path, canary: Path) -> Outcome:
    """What comes of opening one file."""
    from trojancam.errors import TrojanCamError

    folder.mkdir(parents=True)
    path = case.write(folder, canary)
    began, result, said = _seconds(), OPENED, ""
    try:
        opened(path, case.architecture)
    except TrojanCamError as error:
        result, said = REFUSED, str(error)
    except BaseException as error:
        result, said = "failed", f"{type(error).__name__}: {error}"
    return Outcome(case.key, result, said, str(path), _seconds() - began, _megabytes(), canary.exists())


def _seconds() -> float:
    """Of computing, here and in processes that were waited for: others may keep the machine busy."""
    return sum(os.times()[:4])


def _megabytes() -> int:
    """The most that this process, or one that it started, has needed."""
    return max(peak_kilobytes(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024


def warm_up(folder: Path) -> None:
    """Open a harmless file of each kind, so that importing what reads them is not counted."""
    folder.mkdir()
    weights, program = folder / "m.pt", folder / "m.pt2"
    weights.write_bytes(hostile_pytorch.plain_zip())
    program.write_bytes(hostile_pytorch.plain_program())
    (folder / "m.safetensors").write_bytes(hostile_safetensors.plain())
    for path in (weights, folder / "m.safetensors"):
        opened(path, SMALL)
    for path in (program, hostile_onnx.written(folder, hostile_onnx.network()), *hostile_keras.harmless(folder)):
        opened(path, None)


def main(folder: Path) -> int:
    """Write and open all files in a folder; 0 if every process came to its end.

    The processes are forks of this one, which has imported all that reads files: that takes longer than to open them.
    """
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of what no sane program writes
    warm_up(folder / "harmless")
    begun = [_begun(folder, part) for part in range(PROCESSES)]
    ends = [os.waitpid(child, 0)[1] for child in begun]
    return int(any(ends))


def _begun(folder: Path, part: int) -> int:
    """A process that opens a part of the files."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _open_all(_keys(part), folder / str(part), _lines(folder, part))
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    return child


def _open_all(keys: list[str], folder: Path, lines: Path) -> None:
    folder.mkdir()
    with lines.open("w", encoding="utf-8") as told:
        for number, key in enumerate(keys):
            found = outcome(CASES[key], folder / str(number), folder / "canary")
            print(json.dumps(asdict(found)), file=told, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
