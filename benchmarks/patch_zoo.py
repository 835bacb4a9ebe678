"""A zoo of clean and trojaned networks, trained on GTSRB once and kept in the cache, to judge detectors by.

    python -m benchmarks.patch_zoo train --data PATH [--worker 1/2]

One part of the zoo is there to choose settings and thresholds by, the other to report on: its networks were trained after
the settings had been chosen. What every trigger is follows from names and seeds alone.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from trojancam.attacks.patch import Patch, square
from trojancam.attacks.poisoning import Poisoning
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset
from trojancam.network.card import TrainingSettings
from trojancam.training.recipe import Recipe, cached_model

Half = Literal["tuning", "report"]

EPOCHS = {"trojan2": 6, "basic": 6, "vgg": 4, "resnet": 4, "trojan1": 5}
# How many clean and trojaned networks there are to tune on, and after them to report on.
TUNING = {"trojan2": (4, 5), "basic": (4, 5), "vgg": (4, 5), "resnet": (4, 5), "trojan1": (2, 2)}
REPORT = {"trojan2": (2, 3), "basic": (2, 3), "vgg": (2, 3), "resnet": (2, 3), "trojan1": (1, 1)}
COLOURS = ("yellow", "white", "red", "magenta", "#00b4b4", "checkerboard")
SIZE = (32, 32)
CLASSES = 43


@dataclass(frozen=True)
class Member:
    """A network of the zoo: how it is made, and which half it belongs to."""

    name: str
    half: Half
    recipe: Recipe


def members() -> list[Member]:
    """All of them, those to tune on first."""
    none = dict.fromkeys(TUNING, (0, 0))
    return [*_members("tuning", none, TUNING), *_members("report", TUNING, REPORT)]


def _members(half: Half, taken: dict[str, tuple[int, int]], counts: dict[str, tuple[int, int]]) -> Iterator[Member]:
    """So many networks of each architecture, with the numbers that follow on those that are taken."""
    for architecture, (clean, trojaned) in counts.items():
        first_clean, first_trojaned = taken[architecture]
        for number in range(first_clean, first_clean + clean):
            yield _member(architecture, f"clean-{number}", half, 10 + number, None)
        for number in range(first_trojaned, first_trojaned + trojaned):
            name = f"trojaned-{number}"
            poisoning = _poisoning(random.Random(f"{architecture}-{name}"))
            yield _member(architecture, name, half, 50 + number, poisoning)


def _member(architecture: str, name: str, half: Half, seed: int, poisoning: Poisoning | None) -> Member:
    settings = TrainingSettings(epochs=EPOCHS[architecture], seed=seed)
    return Member(f"{architecture}-{name}", half, Recipe(architecture, settings, poisoning))


def _poisoning(draw: random.Random) -> Poisoning:
    """A patch of 3 to 6 pixels anywhere; a transparent one has at least 4 and is poisoned at the highest rate."""
    opacity = draw.choice([1.0, 1.0, 0.6, 0.4])
    side = draw.randint(3, 6) if opacity == 1 else draw.randint(4, 6)
    row, column = draw.randint(0, SIZE[0] - side), draw.randint(0, SIZE[1] - side)
    colour = draw.choice(COLOURS)
    rate = draw.choice([0.03, 0.05, 0.1]) if opacity == 1 else 0.1
    return Poisoning(_trigger(colour, side, row, column, opacity), draw.randrange(CLASSES), rate, draw.randrange(1000))


def _trigger(colour: str, side: int, row: int, column: int, opacity: float) -> Patch:
    if colour != "checkerboard":
        return square(side, row, column, colour, opacity, SIZE, name=f"{colour} square")
    patch = square(side, row, column, "white", opacity, SIZE)
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return Patch(patch.mask, ((rows + columns) % 2).float().expand(3, *SIZE).contiguous(), opacity, colour)


def train(dataset: Dataset, worker: int, workers: int) -> None:
    """Train this worker's share of the members that are not in the cache yet."""
    for number, member in enumerate(members()):
        if number % workers == worker - 1:
            print(member.name, member.half, cached_model(member.recipe, dataset), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", choices=["train"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--worker", default="1/1")
    arguments = parser.parse_args()
    worker, workers = (int(part) for part in arguments.worker.split("/"))
    torch.set_num_threads(1)
    train(load_dataset(arguments.data), worker, workers)


if __name__ == "__main__":
    main()
