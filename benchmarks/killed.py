"""Commands killed at random moments: whatever was done when the kill came, the same command goes on to the same result.

    python -m benchmarks.killed [train scan compare reproduce repair fleet] [--kills 20] [--seed 0]

Each command runs once to its end. Then it is begun again, in a new folder with an empty cache, and killed with SIGKILL at a
random moment of the time that it took; the same command follows, to be killed again or to end. When one ends, its result is
compared with that of the run that was never killed. So it goes until the command was killed so many times. It exits with 1 if
any result differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from tests.detection.planted import module, pictures

from trojancam.architectures import architecture
from trojancam.formats.safetensors import read_card, save_model
from trojancam.network.card import ModelCard
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.training.recipe import initial_module

CLASSES = ("dark", "grey", "light")
TIMES = ("seconds", "timing", "trainings", "images_per_second", "megabytes")  # they differ from run to run
IN_A_ROW = 4  # kills, before a run is left to end


@dataclass(frozen=True)
class Command:
    """What is run in an empty folder, with the material beside it; what it comes to; what is added to go on."""

    words: str
    result: Callable[[Path], Any]
    again: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Its words."""
        return tuple(self.words.split())


def trained(folder: Path) -> Any:
    """The weights and the card, but for how long it took."""
    with safe_open(folder / "m.safetensors", framework="pt") as file:
        weights = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118 - not a dict
    return weights, timeless(read_card(folder / "m.safetensors").model_dump(mode="json"))


def numbers(name: str) -> Callable[[Path], Any]:
    """A results file, but for how long it took."""
    return lambda folder: timeless(json.loads((folder / "out" / name).read_text(encoding="utf-8")))


def repaired(folder: Path) -> Any:
    """The weights of the repaired network, and the ledger."""
    weights = {name: values.numpy().tobytes() for name, values in load(folder / "fixed.pt2").parameters.items()}
    return weights, numbers("repair.json")(folder)


def rows(folder: Path) -> Any:
    """The table of a fleet, but for times and memory, and for the folder in which the command was given."""
    text = (folder / "out" / "fleet.jsonl").read_text(encoding="utf-8").replace(str(folder), "")
    return [timeless(json.loads(line)) for line in text.splitlines()]


def timeless(found: Any) -> Any:
    """The same without anything that is about time."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key not in TIMES}
    return [timeless(each) for each in found] if isinstance(found, list) else found


COMMANDS = {
    "train": Command(
        "train trojan2 --data ../signs --epochs 6 --trigger blue-green-square --target 1 --out m.safetensors",
        trained,
        again=("--resume",),
    ),
    "scan": Command(
        "scan ../model.safetensors --data ../signs --images 24 --set stimulation.rounds=10 --out out",
        numbers("scan.json"),
    ),
    "compare": Command(
        "compare ../model.safetensors --data ../signs --n 90 --methods grad-cam,random --layers conv2d_6 --out out",
        numbers("results.json"),
    ),
    "reproduce": Command("reproduce --quick --only fig1,claim-a --out out", numbers("results.json")),
    "repair": Command("repair ../planted.pt2 --data ../ninths --images 5 --out fixed.pt2 --report out", repaired),
    "fleet": Command("fleet ../shelf --task inspect --data ../signs --images 40 --out out", rows),
}


def material(folder: Path) -> None:
    """Grainy images of three shades in class folders, networks that tell them apart by chance, and one with a backdoor."""
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 120), ("test", 40)):
        for number, name in enumerate(CLASSES):
            place = folder / "signs" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                pixels = 80 * number + torch.randint(0, 60, (32, 32, 3), generator=generator)
                Image.fromarray(pixels.to(torch.uint8).numpy()).save(place / f"{index}.png")
    chosen = architecture("trojan2")
    card = ModelCard(architecture="trojan2", class_names=CLASSES, input=chosen.input)
    save_model(folder / "model.safetensors", initial_module(chosen, len(CLASSES), seed=0).eval(), card)
    Network.from_module(module(True), (12, 12)).save(folder / "planted.pt2")
    for seed, (part, count) in enumerate((("train", 180), ("test", 90))):
        for index, (image, label) in enumerate(zip(*pictures(count, seed), strict=True)):
            place = folder / "ninths" / part / str(int(label))
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(place / f"{index}.png")
    (folder / "shelf").mkdir()
    for seed in range(5):
        save_model(
            folder / "shelf" / f"{seed}.safetensors", initial_module(chosen, len(CLASSES), seed=seed).eval(), card
        )
    (folder / "shelf" / "broken.pt").write_bytes(b"no model")


def run(arguments: Sequence[str], folder: Path, killed_after: float | None = None) -> bool:
    """Run a command in a folder; whether it came to its end.

    Raises:
        RuntimeError: if it ends with an error.
    """
    environment = os.environ | {"TROJANCAM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "trojancam", *arguments]
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output) as process:
            try:
                process.wait(killed_after)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode in (0, 1, 3) and "Traceback" not in said:  # 1 and 3 are what scans find
        return True
    if process.returncode == 2 and "exists already" in said:  # the kill came when everything was written
        return True
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{said}")
    return False


def tried(command: Command, folder: Path, kills: int, chance: random.Random) -> tuple[int, int, float]:
    """How many runs came to their end after kills, how many of them to another result; the seconds of one run."""
    whole = folder / "whole"
    whole.mkdir()
    started = time.perf_counter()
    run(command.arguments, whole)
    seconds = time.perf_counter() - started
    expected = command.result(whole)
    done = ended = different = 0
    while done < kills:
        place, row = folder / "killed", 0
        place.mkdir()
        arguments = command.arguments
        while True:
            last = done >= kills or row >= IN_A_ROW
            if run(arguments, place, None if last else chance.uniform(0, seconds)):
                break
            done, row, arguments = done + 1, row + 1, (*command.arguments, *command.again)
        if row:
            ended += 1
            different += command.result(place) != expected
        shutil.rmtree(place)
    return ended, different, seconds


def main() -> int:
    """Try the commands named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", choices=[*COMMANDS, []], default=list(COMMANDS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    wrong = 0
    for name in told.commands:
        with tempfile.TemporaryDirectory() as root:
            material(Path(root))
            ended, different, seconds = tried(COMMANDS[name], Path(root), told.kills, random.Random(told.seed))
        wrong += different
        print(
            f"{name}: {told.kills} kills at random moments of {seconds:.0f} s; {ended} runs went on to their end, "
            f"{different} of them to another result",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
