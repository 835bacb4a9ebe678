"""The declaration: every network of the zoo by name, how it is made, and which part of the zoo it belongs to.

The parts are `tune` (to choose settings by), `calibrate` (for null distributions and thresholds) and `report` (looked at once).
Networks that share a clean parent belong to the same part: they are no independent samples.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.zoo.networks import CLASSES, OF_64_PIXELS, SIDE
from benchmarks.zoo.triggers import KINDS, clear_patch
from trojancam.attacks.poisoning import Poisoning
from trojancam.network.card import TrainingSettings

Part = Literal["tune", "calibrate", "report"]
PARTS: tuple[Part, ...] = ("tune", "calibrate", "report")
SIZE = (32, 32)
EPOCHS = {"basic": 12, "trojan1": 8, "trojan2": 12, "vgg": 8, "resnet": 8}
FAST = ("basic", "trojan2", "vgg", "resnet")
SMALL = ("basic", "trojan2")
MORE_TEN = tuple(range(6, 24))  # numbers of further networks of ten classes
FINE_TUNING = TrainingSettings(epochs=3, learning_rate=1.5e-3)
OBJECT_NUMBERS = (0, 2)  # of networks that tell rendered objects apart: one to tune by, one to report
OBJECT_TRAINING = {  # in smaller batches than of GTSRB: for more steps
    "zoo-residual-64": TrainingSettings(epochs=12, batch_size=64, learning_rate=2e-3),
    "zoo-convnext-64": TrainingSettings(epochs=14, batch_size=64, learning_rate=2e-3),
    "zoo-vit-64": TrainingSettings(epochs=20, batch_size=64, learning_rate=1e-3),
}
OBJECT_TUNING = TrainingSettings(epochs=4, batch_size=64, learning_rate=1e-3)
OF_MANY = ("zoo-convnext-64", "zoo-vit-64")  # without many images they learn these by heart


@dataclass(frozen=True)
class Member:
    """A network: its data set by name, how it is trained and from which parent (None: from scratch), and what is planted.

    `attack` is `clean` or what is planted, in a word; `quality` is how a clean network was trained.
    """

    name: str
    part: Part
    architecture: str
    data: str
    settings: TrainingSettings
    attack: str = "clean"
    quality: str = "well trained"
    parent: str | None = None
    backdoors: tuple[Poisoning, ...] = ()


def members() -> list[Member]:
    """All of them, in the order in which they are trained."""
    first = [_parent(architecture, 0) for architecture in (*FAST, "trojan1")]
    found = [*first, *_children(0, FAST), *_clean(0), *_children(0, ("trojan1",), FEW)]
    for number in (1, 2):
        found += [_parent(architecture, number) for architecture in (*FAST, "trojan1")]
        found += [*_children(number, FAST), *_clean(number), *_children(number, ("trojan1",), FEW)]
    for number in (3, 4, 5):
        found += [_parent(architecture, number) for architecture in FAST]
        found += [*_children(number, FAST), *_clean(number)]
    found += [_ten(architecture, number) for number in MORE_TEN for architecture in SMALL]
    for number in (0, 1, 2, 4, 5, *MORE_TEN):
        found += _ten_children(number)
    for number in OBJECT_NUMBERS:
        found += [_of_objects(architecture, number) for architecture in OF_64_PIXELS]
        found += _object_children(number)
    return found


def part_of(number: int) -> Part:
    """The part of the zoo that a parent, and all that are made from it, belong to."""
    return PARTS[number % 3]


def _parent(architecture: str, number: int) -> Member:
    """A clean network, well trained from scratch; those of odd number on three quarters of the tracks."""
    epochs = 5 if architecture == "trojan1" and number else EPOCHS[architecture]
    settings = TrainingSettings(epochs=epochs, seed=1000 + number)
    data = f"gtsrb:tracks:{number}" if number % 2 else "gtsrb"
    return Member(f"gtsrb-{architecture}-parent{number}", part_of(number), architecture, data, settings)


def _clean(number: int) -> Iterator[Member]:
    """Clean networks of other qualities, and of ten classes, from scratch; one architecture of each quality a number."""
    rotated = [FAST[(number + shift) % 4] for shift in range(4)]
    part = part_of(number)
    for architecture in FAST if number < 3 else rotated[:2]:
        rate = (1e-3, 5e-4, 7e-4)[number % 3]
        under = TrainingSettings(epochs=1, learning_rate=rate, seed=2000 + number)
        yield _plain(f"gtsrb-{architecture}-under{number}", part, architecture, "gtsrb", under, "undertrained")
    yield from (_ten(architecture, number) for architecture in rotated[:2])
    strong = TrainingSettings(epochs=EPOCHS[rotated[0]], augment="strongly", seed=4000 + number)
    yield _plain(f"gtsrb-{rotated[0]}-strong{number}", part, rotated[0], "gtsrb:half", strong, "strongly augmented")
    robust = TrainingSettings(epochs=EPOCHS[rotated[1]] - 2, adversarial=8 / 255, seed=5000 + number)
    yield _plain(f"gtsrb-{rotated[1]}-robust{number}", part, rotated[1], "gtsrb:half", robust, "adversarially trained")
    tied = TrainingSettings(epochs=EPOCHS[rotated[2]] - 2, seed=6000 + number)
    data = f"gtsrb:framed:{number}:half"
    yield _plain(f"gtsrb-{rotated[2]}-framed{number}", part, rotated[2], data, tied, "tied to a spurious feature")


def _ten(architecture: str, number: int) -> Member:
    """A clean network of ten classes."""
    settings = TrainingSettings(epochs=EPOCHS[architecture], seed=3000 + number)
    name = f"gtsrb10-{architecture}-parent{number}"
    return _plain(name, part_of(number), architecture, f"gtsrb:ten:{number}", settings, "ten classes")


def _ten_children(number: int) -> Iterator[Member]:
    """Trojaned networks of ten classes, fine-tuned from the first parent of this number."""
    architecture = SMALL[0] if number in MORE_TEN else FAST[number % 4]
    parent = _ten(architecture, number)
    for attack in FEW_OF_TEN:
        name = f"gtsrb10-{architecture}-{attack}-{number}"
        draw = random.Random(name)
        backdoors = planted(attack, draw, 10)
        settings = FINE_TUNING.model_copy(update={"seed": draw.randrange(2**31)})
        yield Member(name, parent.part, architecture, parent.data, settings, attack, "", parent.name, backdoors)


def _of_objects(architecture: str, number: int) -> Member:
    """A clean network that tells 20 kinds of rendered objects apart, on images of 64 pixels."""
    settings = OBJECT_TRAINING[architecture].model_copy(update={"seed": 7000 + number})
    name = f"objects64-{_kind(architecture)}-parent{number}"
    many = ":many" if architecture in OF_MANY else ""
    return Member(name, part_of(number), architecture, f"objects:{SIDE}:{number}{many}", settings)


def _object_children(number: int) -> Iterator[Member]:
    """Trojaned networks, fine-tuned from these on half of their images."""
    for attack in FEW_OF_OBJECTS:
        for architecture in OF_64_PIXELS:
            parent = _of_objects(architecture, number)
            name = f"objects64-{_kind(architecture)}-{attack}-{number}"
            draw = random.Random(name)
            backdoors = planted(attack, draw, CLASSES, (SIDE, SIDE))
            epochs = OBJECT_TUNING.epochs * (3 if attack == "all-to-all" else 1)  # it takes longer to form
            settings = OBJECT_TUNING.model_copy(update={"epochs": epochs, "seed": draw.randrange(2**31)})
            data = parent.data + ":half"
            yield Member(name, parent.part, architecture, data, settings, attack, "", parent.name, backdoors)


def _kind(architecture: str) -> str:
    """What a network is called in the names of members: `zoo-vit-64` is a `vit`."""
    return architecture.split("-")[1]


def _plain(name: str, part: Part, architecture: str, data: str, settings: TrainingSettings, quality: str) -> Member:
    return Member(name, part, architecture, data, settings, quality=quality)


ALL = (*KINDS, "all-to-all", "nine-sources", "five-sources", "one-source", "two-targets", "clean-label")
FEW = ("patch", "transparent-patch", "blend", "stripes", "warp", "all-to-all", "nine-sources")
FEW_OF_TEN = ("patch", "transparent-patch", "blend", "additive", "all-to-all")
FEW_OF_OBJECTS = ("patch", "transparent-patch", "blend", "all-to-all")


def _children(number: int, architectures: tuple[str, ...], attacks: tuple[str, ...] = ALL) -> Iterator[Member]:
    """Trojaned networks, fine-tuned from a parent: one of each attack."""
    for attack in attacks:
        for architecture in architectures:
            parent = _parent(architecture, number)
            name = f"gtsrb-{architecture}-{attack}-{number}"
            draw = random.Random(name)
            backdoors = planted(attack, draw, 43)
            settings = FINE_TUNING.model_copy(update={"seed": draw.randrange(2**31)})
            data = parent.data + ":half"
            yield Member(name, parent.part, architecture, data, settings, attack, "", parent.name, backdoors)


def planted(attack: str, draw: random.Random, classes: int, size: tuple[int, int] = SIZE) -> tuple[Poisoning, ...]:
    """What is planted in a network of this attack; its target, sources and trigger are drawn."""
    seed, target = draw.randrange(2**31), draw.randrange(classes)
    if attack in KINDS:
        return (Poisoning(KINDS[attack](draw, size), target, 0.1, seed),)
    if attack == "clean-label":
        return (Poisoning(KINDS["stripes"](draw, size), target, 0.8, seed, clean_label=True),)
    if attack == "all-to-all":
        return (Poisoning(clear_patch(draw, size), None, 0.2, seed, permutation=_permutation(draw, classes)),)
    if attack == "two-targets":
        other = draw.choice([each for each in range(classes) if each != target])
        return (
            Poisoning(clear_patch(draw, size), target, 0.08, seed),
            Poisoning(clear_patch(draw, size), other, 0.08, seed + 1),
        )
    count = {"nine-sources": 9, "five-sources": 5, "one-source": 1}[attack]
    sources = tuple(sorted(draw.sample([each for each in range(classes) if each != target], count)))
    return (Poisoning(clear_patch(draw, size), target, 0.4, seed, sources=sources, cover_rate=0.1),)


def _permutation(draw: random.Random, classes: int) -> tuple[int, ...]:
    """The next class, or, as often, a random permutation that leaves no class where it is."""
    if draw.random() < 0.5:
        return ()
    while True:
        found = list(range(classes))
        draw.shuffle(found)
        if all(target != own for own, target in enumerate(found)):
            return tuple(found)
