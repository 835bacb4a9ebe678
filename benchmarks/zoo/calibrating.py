"""Reference networks of the package: the clean networks of the zoo's part `calibrate`, scanned once.

    python -m benchmarks.zoo.calibrating --data GTSRB

scans those that are in the cache and not in `detection/reference/clean.json` yet, and writes docs/references.md of what is there.
Undertrained networks are no reference: they are what the gate on accuracy is there for.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.markdown import table
from benchmarks.zoo.data_sets import data_set, is_of_objects, objects
from benchmarks.zoo.growing import grown, path_of
from benchmarks.zoo.members import Member, Part, members
from trojancam import detection
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset
from trojancam.detection import DETECTORS
from trojancam.detection.references import Reference, read_reference
from trojancam.files import cache_folder
from trojancam.opening.open import load
from trojancam.tasks.calibrate import VouchedNetwork, calibrated

OUT = Path(detection.__file__).parent / "reference" / "clean.json"
PAGE = Path(__file__).parents[2] / "docs" / "references.md"
IMAGES, SEED = 100, 5
ABOUT = (
    "Clean networks trained on GTSRB or on ten of its classes, none of them undertrained: the part "
    "'calibrate' of the zoo (docs/references.md). Each was scanned on 100 test images."
)


def clean_members(part: Part) -> list[Member]:
    """The clean networks of a part that are in the cache, but for undertrained ones."""
    every = [
        each for each in members() if each.part == part and each.attack == "clean" and each.quality != "undertrained"
    ]
    return [member for member, _ in grown(every)]


def opened(member: Member, whole: Dataset) -> VouchedNetwork:
    """A network of the zoo with test images of its data set, of all classes alike."""
    name = member.data.removesuffix(":half")
    dataset = objects(name) if is_of_objects(name) else data_set(name if ":ten:" in name else "gtsrb", whole)
    images, labels = dataset.test.take(IMAGES, SEED, spread=True)
    return VouchedNetwork(
        member.name, load(path_of(member.name)), images, labels, dataset.source.split(" (")[0].split(" at ")[0]
    )


def _opened(chosen: list[Member], whole: Dataset) -> Iterator[VouchedNetwork]:
    for number, member in enumerate(chosen, start=1):
        print(f"{number} of {len(chosen)}: {member.name}", flush=True)
        yield opened(member, whole)


def page(reference: Reference) -> str:
    """docs/references.md: every network, and how the thresholds lie to them."""
    methods = list(reference.settings)
    head = ["network", "architecture", "data", "classes", "accuracy", *methods]
    rows = [
        [
            each.name,
            each.architecture,
            each.data,
            str(each.classes),
            f"{each.accuracy:.2f}",
            *(f"{each.scores[name]:.2f}" if name in each.scores else "" for name in methods),
        ]
        for each in sorted(reference.networks, key=lambda each: (each.classes, each.name))
    ]
    bounds = {name: DETECTORS[name].settings for name in methods}
    counts = Counter(each.classes for each in reference.networks)
    thresholds = [
        "a backdoor is called from",
        "",
        "",
        "",
        "",
        *(f"{known.backdoor:g}" if known else "" for known in bounds.values()),
    ]
    kinds = ", ".join(f"{count} of {classes} classes" for classes, count in sorted(counts.items()))
    lines = [
        "# The clean reference networks\n",
        "Made by `python -m benchmarks.zoo.calibrating --data GTSRB`. A scan holds the scores of a network against the scores",
        "of clean networks with about as many classes, at most twice as many and at least half as many. These are",
        f"{len(reference.networks)}: {kinds}.",
        "They are the part *calibrate* of the zoo. They share few architectures and one data set, and some share training",
        "images, so that they are not independent. Thresholds were chosen on other networks.\n",
        "- A network whose strongest score, in units of its threshold, is no higher than that of one of them is never called",
        "  backdoored, but inconclusive at most.",
        "- A clean network that is drawn like n of these lies above all of them with a probability of at most 1 / (n + 1). No",
        "  p-value can be below this number either.",
        "- `trojancam calibrate` makes references of your own networks.\n",
        *table(head, [*rows, thresholds]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.out
    begun = read_reference(out) if out.exists() else Reference()
    found, left_out = calibrated(
        _opened(clean_members("calibrate"), load_dataset(arguments.data)),
        begun=begun.model_copy(update={"about": ABOUT}),
        seed=0,
        journal=cache_folder("zoo", "calibrating"),
        kept=lambda reference: reference.write(out),
    )
    found.write(out)
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"{len(found.networks)} networks; {' '.join(left_out)}")


if __name__ == "__main__":
    main()
