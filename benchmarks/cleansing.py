"""Cleansing of training data: which poisoned images each method finds, and what a network learns from the rest.

    python -m benchmarks.cleansing --data GTSRB [--only REGEX] [--cache DIR]

poisons 5 % of the training images of GTSRB, trains a network from scratch on them, asks every cleansing method, and trains the
same network anew without what `METHOD` would leave out. Every setting is the package's own. What was measured is kept in
`cleansing.json`, and docs/cleansing.md is written of all that is kept. Which images are poisoned is known here alone.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.defending import share
from benchmarks.markdown import table
from benchmarks.zoo.choosing import options
from benchmarks.zoo.data_sets import every_other_frame
from benchmarks.zoo.growing import FORMED
from benchmarks.zoo.triggers import KINDS
from trojancam.attacks.attack_success import attack_success_rate
from trojancam.attacks.poisoning import Poisoning, poisoned_set
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.defences.cleansing import CLEANSERS, cleansed
from trojancam.files import cache_folder, written_whole
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.rates import clean_accuracy
from trojancam.training.recipe import Recipe, make_model

OUT = Path(__file__).parents[1] / "docs" / "cleansing.md"
MEASURED = Path(__file__).with_name("cleansing.json")
ATTACKS, ARCHITECTURES = ("patch", "blend", "stripes", "warp"), ("basic", "trojan2")
METHOD = "contributions"  # the one that needs no guess at the share of poison
POISONED, CLEAN, SEED = 0.05, 1000, 7
SETTINGS = TrainingSettings(epochs=8, seed=SEED)


@dataclass(frozen=True)
class Found:
    """What a method would leave out: of the poisoned images, and of the clean ones."""

    poisoned: int
    clean: int


@dataclass(frozen=True)
class Row:
    """A poisoned training set: rates of the network trained on it and of the one trained on the rest, and what was found."""

    attack: str
    architecture: str
    poisoned: int
    clean: int
    accuracy: float
    asr: float
    found: dict[str, Found]
    accuracy_after: float
    asr_after: float

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.attack}"


def measured(attack: str, architecture: str, whole: Dataset) -> Row:
    """One training set, poisoned and cleansed."""
    draw = random.Random(f"cleansing {attack} {architecture}")
    target = draw.randrange(len(whole.train.class_names))
    rate = POISONED * len(whole.train) / int((whole.train.labels != target).sum())
    poisoning = Poisoning(KINDS[attack](draw, whole.train.size), target, rate, draw.randrange(2**31))
    order = torch.randperm(len(whole.test), generator=torch.Generator().manual_seed(SEED))
    clean, judged = whole.test.select(order[:CLEAN]), whole.test.select(order[CLEAN:])
    training, poisoned = poisoned_set(whole.train, poisoning)
    bad = torch.zeros(len(training), dtype=torch.bool)
    bad[poisoned] = True
    network = trained(architecture, Dataset(training, judged, whole.source), f"{architecture}-{attack}")
    said = cleansed(
        network, as_floats(training.images), training.labels, tuple(CLEANSERS),
        share=POISONED, clean=as_floats(clean.images), seed=SEED,
    )  # fmt: skip
    found = {
        name: Found(int((left.suspicious & bad).sum()), int((left.suspicious & ~bad).sum()))
        for name, left in said.items()
    }
    rest = training.select((~said[METHOD].suspicious).nonzero()[:, 0])
    again = trained(architecture, Dataset(rest, judged, whole.source), f"{architecture}-{attack}-cleansed")
    return Row(
        attack, architecture, int(bad.sum()), int((~bad).sum()),
        *rates(network, poisoning, judged), found, *rates(again, poisoning, judged),
    )  # fmt: skip


def trained(architecture: str, dataset: Dataset, name: str) -> Network:
    """A network trained on these images, from scratch; made once and kept."""
    path = cache_folder("cleansing") / f"{name}.safetensors"
    if not path.is_file():
        make_model(Recipe(architecture, SETTINGS), dataset, path, resume=True)
    return load(path)


def rates(network: Network, poisoning: Poisoning, test: ImageSet) -> tuple[float, float]:
    """Clean accuracy and attack success rate."""
    assert poisoning.target_class is not None
    images = as_floats(test.images)
    accuracy = clean_accuracy(network(images).argmax(1), test.labels)
    return accuracy, attack_success_rate(network, images, test.labels, poisoning.trigger, poisoning.target_class)


def page(rows: list[Row]) -> str:
    """docs/cleansing.md."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: list[Row]) -> Iterator[str]:
    formed, unformed = [row for row in rows if row.asr >= FORMED], [row for row in rows if row.asr < FORMED]
    worst = max(formed, key=lambda row: row.asr_after)
    ours = [row.found[METHOD] for row in formed]
    yield "# Cleansing of training data, measured\n"
    poisoned = _mean(each.poisoned / row.poisoned for each, row in zip(ours, formed, strict=True))
    clean = _mean(each.clean / row.clean for each, row in zip(ours, formed, strict=True))
    yield f"- `{METHOD}` finds {poisoned} of the poisoned images, and leaves out {clean} of the clean ones."
    yield (
        f"- A network that is trained without them has an attack success rate of {_mean(row.asr_after for row in formed)} on "
        f"average, and {worst.asr_after:.1%} at worst ({worst.attack}, {worst.architecture})."
    )
    if unformed:
        yield (
            f"- These rates leave out {len(unformed)} of {len(rows)} training sets, on which the attack success rate is below "
            f"{FORMED:.0%}. `{METHOD}` fails on them:"
        )
    for row in unformed:
        found = row.found[METHOD]
        yield (
            f"    - {row.attack} of {row.architecture}: {found.poisoned / row.poisoned:.0%} of the poisoned images found; attack "
            f"success rate {row.asr:.0%}, trained anew {row.asr_after:.0%}."
        )
    yield (
        f"\nMade by `python -m benchmarks.cleansing --data GTSRB`: every other frame of GTSRB, {POISONED:.0%} of all training\n"
        f"images poisoned for one class, and networks trained on them from scratch for {SETTINGS.epochs} epochs. Triggers and\n"
        f"targets are drawn; no setting was chosen by them. `{METHOD}` compares with {CLEAN} clean test images, which are\n"
        "not judged by. The other methods know the true share of poison. Intervals are Wilson's, of 95%, over images.\n\n"
        "The poisoned images of a class are mostly more than its own here. Activation clustering and spectral signatures take\n"
        "them for a minority, and leave out the class's own images, or the wrong number. The order of losses tells most in the\n"
        "first epochs; these networks are fully trained.\n"
    )
    yield "## Found\n"
    yield from table(
        ["attack", "network", "method", "poisoned images found", "clean images left out"],
        [
            [
                row.attack,
                row.architecture,
                name,
                share(each.poisoned, row.poisoned),
                share(each.clean, row.clean),
            ]
            for row in rows
            for name, each in row.found.items()
        ],
    )
    yield "\n## Trained anew\n"
    yield from table(
        ["attack", "network", "poisoned images", "accuracy", "ASR", "accuracy after", "ASR after"],
        [
            [
                row.attack,
                row.architecture,
                str(row.poisoned),
                *(f"{rate:.1%}" for rate in (row.accuracy, row.asr, row.accuracy_after, row.asr_after)),
            ]
            for row in rows
        ],
    )


def _mean(shares: Iterator[float]) -> str:
    every = list(shares)
    return f"{sum(every) / len(every):.1%}"


def _row(values: dict[str, object]) -> Row:
    found = {name: Found(**each) for name, each in values["found"].items()}  # type: ignore[attr-defined]
    return Row(**{**values, "found": found})  # type: ignore[arg-type]


def main() -> None:
    arguments = options(__doc__).parse_args()
    if arguments.cache is not None:
        os.environ["TROJANCAM_CACHE"] = str(arguments.cache)
    torch.set_num_threads(1)
    whole = every_other_frame(load_dataset(arguments.data))
    kept = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    rows = {name: _row(values) for name, values in kept.items()}
    for attack in ATTACKS:
        for architecture in ARCHITECTURES:
            name = f"{architecture}-{attack}"
            if name not in rows and re.search(arguments.only, name):
                rows[name] = measured(attack, architecture, whole)
                with written_whole(MEASURED) as partial:
                    text = json.dumps({known: asdict(row) for known, row in rows.items()}, indent=1)
                    partial.write_text(text + "\n", encoding="utf-8")
                print(rows[name], flush=True)
    with written_whole(OUT) as partial:
        partial.write_text(page(list(rows.values())), encoding="utf-8")


if __name__ == "__main__":
    main()
