"""Sieve: defences that have learned from clean images, with a threshold each; it says which images of a batch are suspicious."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.defences import (
    cognitive_distillation,
    contributions,
    ibd_psc,
    input_filter,
    scale_up,
    sentinet,
    strip,
    teco,
    weight_scaling,
)
from trojancam.defences.calibration import Calibration, check_rate, fewest
from trojancam.defences.defence import Defence, Reference, Scores, Seen, Test, as_defence
from trojancam.errors import DataError, TrojanCamError
from trojancam.network import given
from trojancam.network.batches import BUDGET, check_budget, parts
from trojancam.network.network import Network
from trojancam.network.plain import plain
from trojancam.progress import Progress, shown, stages
from trojancam.registry import Registry
from trojancam.showing import Brief, Named

_OWN = {
    "contributions": Defence(
        "Contributions of feature maps", "new in TrojanCAM", contributions.learn, records=True, shows_place=True
    ),
    "strip": Defence("STRIP", "Gao et al., ACSAC 2019", strip.learn),
    "sentinet": Defence("SentiNet", "Chou et al., SPW 2020", sentinet.learn, records=True, shows_place=True),
    "scale-up": Defence("SCALE-UP", "Guo et al., ICLR 2023", scale_up.learn),
    "cognitive-distillation": Defence(
        "Cognitive distillation", "Huang et al., ICLR 2023", cognitive_distillation.learn, shows_place=True
    ),
    "teco": Defence("TeCo", "Liu et al., CVPR 2023", teco.learn),
    "ibd-psc": Defence("IBD-PSC", "Hou et al., ICML 2024", ibd_psc.learn),
    "weight-scaling": Defence("Weight scaling", "new in TrojanCAM, after IBD-PSC", weight_scaling.learn),
    "input-filter": Defence(
        "Neural Cleanse's input filter", "Wang et al., S&P 2019", input_filter.learn, needs_triggers=True
    ),
}
DEFENCES = Registry("defence", "trojancam.defences", as_defence, _OWN)
"""All defences by name. `DEFENCES.register("mine")` adds a function of a `Reference` that returns a test, which is a function of
`Seen` images that returns `Scores`; so does an entry point of the group `trojancam.defences`."""
DEFAULT_METHODS = ("contributions",)
"""The defences that are asked unless others are named."""
FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Judged(Brief):
    """What one defence says of images: scores, p-values among clean images, the threshold, and places if it knows any."""

    scores: Float[Tensor, " n"]
    p_values: Float[Tensor, " n"]
    threshold: float
    places: Float[Tensor, "n h w"] | None = None

    @property
    def suspicious(self) -> Bool[Tensor, " n"]:
        """Which images have a score above the threshold."""
        return self.scores.double() > self.threshold


@dataclass(frozen=True)
class Sifted(Brief):
    """Images through a sieve: the logits, and what each defence says. The first one decides."""

    logits: Float[Tensor, "n classes"]
    by_method: Mapping[str, Judged]

    @property
    def classes(self) -> Int64[Tensor, " n"]:
        """The class predicted for each image."""
        return self.logits.argmax(1)

    @property
    def suspicious(self) -> Bool[Tensor, " n"]:
        """Which images are suspicious to the first defence."""
        return next(iter(self.by_method.values())).suspicious

    @property
    def places(self) -> Float[Tensor, "n h w"] | None:
        """Where the first defence that knows any sees the reason."""
        known = [judged.places for judged in self.by_method.values() if judged.places is not None]
        return known[0] if known else None


@dataclass(frozen=True)
class Sieve(Brief):
    """A network with defences that have learned, each with its calibration. It takes images a batch at a time."""

    network: Network
    tests: Mapping[str, Test]
    calibrations: Mapping[str, Calibration]
    recorded: bool
    false_alarms: float
    seed: int
    memory_budget: int

    def __call__(self, images: given.GivenImages, first: int = 0) -> Sifted:
        """What the defences say of images; `first` is the place of the first one among all.

        Raises:
            DataError: if the network cannot take the images.
        """
        whole = plain(given.images(self.network, images))
        found = [self._batch(whole[part], first + part.start) for part in parts(len(whole), self.rows)]
        return Sifted(
            torch.cat([each.logits for each in found]),
            Named("defence", {name: _joined([each.by_method[name] for each in found]) for name in self.tests}),
        )

    @property
    def rows(self) -> int:
        """How many images are looked at together."""
        return self.network.rows(self.memory_budget, gradients=self.recorded)

    def threshold(self, name: str) -> float:
        """The score of a defence above which an image is suspicious."""
        return self.calibrations[name].threshold(self.false_alarms)

    def _batch(self, images: Float[Tensor, "n 3 h w"], first: int) -> Sifted:
        seen = Seen(self.network, images, first, self.seed, self.memory_budget, self.recorded)
        judged: dict[str, Judged] = {}
        for name, test in self.tests.items():
            scores = scores_of(name, test, seen)
            judged[name] = Judged(
                scores.values, self.calibrations[name].p_values(scores.values), self.threshold(name), scores.places
            )
        return Sifted(seen.logits, judged)


def learned(
    network: Network,
    clean: given.GivenImages,
    methods: given.GivenNames = DEFAULT_METHODS,
    *,
    triggers: Sequence[Trigger] = (),
    false_alarms: float = FALSE_ALARMS,
    seed: int = 0,
    memory_budget: int = BUDGET,
    progress: Progress | None = None,
) -> Sieve:
    """The sieve of these defences for a network, from clean images; no label is needed.

    Half of the clean images is what defences learn from; the thresholds come from the other half, so that among clean images
    of the same kind at most a share `false_alarms` is called suspicious, on average. `triggers` are those that a scan recovered
    from the network, for the defences that need some.

    Raises:
        UnknownNameError: if there is no such defence.
        DataError: if the network cannot take the images, or they are too few for this rate of false alarms.
        ModelError: if a defence cannot work with the network.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> sieve = learned(network, torch.rand(40, 3, 8, 8), ["strip"], false_alarms=0.1)
    >>> sieve(torch.rand(5, 3, 8, 8)).suspicious.shape
    torch.Size([5])
    """
    names = known_methods(methods)
    check_budget(memory_budget)
    images = _in_order(plain(given.images(network, clean)))
    _check_number(len(images), false_alarms)
    bare, told = network.without_card(), stages(shown(progress), [1000] * (len(names) + 1))
    reference = Reference(bare, images[0::2], seed, memory_budget)
    tests = {}
    for name, one in zip(names, told[:-1], strict=True):
        tests[name] = DEFENCES[name].learn(Reference(bare, images[0::2], seed, memory_budget, one, tuple(triggers)))
    recorded = any(DEFENCES[name].records for name in names)
    others = Reference(bare, images[1::2], seed, memory_budget, told[-1])
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for seen in others.seen(recorded):
        for name, test in tests.items():
            found[name].append(scores_of(name, test, seen).values)
    calibrations = {name: Calibration.of(torch.cat(values)) for name, values in found.items()}
    return Sieve(reference.network, tests, calibrations, recorded, false_alarms, seed, memory_budget)


def _in_order(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The images in an order that they decide themselves: the same images, given in another one, lead to the same sieve."""
    drawn = [hashlib.sha256(image.contiguous().numpy().tobytes()).digest() for image in images]
    return images[torch.tensor(sorted(range(len(images)), key=drawn.__getitem__))]


def known_methods(names: given.GivenNames) -> tuple[str, ...]:
    """The names of defences, each once, in the order given.

    Raises:
        UnknownNameError: if there is no such defence.
        DataError: if there is no name.
    """
    methods = given.names("defence", names, DEFENCES)
    if not methods:
        raise DataError(f"name at least one defence; known: {', '.join(DEFENCES)}")
    return methods


def scores_of(name: str, test: Test, seen: Seen) -> Scores:
    """What a test says of a batch, which must be a number for each image.

    Raises:
        TrojanCamError: if it is anything else.
    """
    scores = test(seen)
    if not isinstance(scores, Scores) or scores.values.shape != (len(seen.images),):
        raise TrojanCamError(f"the test of the defence {name!r} must return Scores, one for each image")
    return scores


def _check_number(clean: int, false_alarms: float) -> None:
    """Half of the clean images set the threshold."""
    check_rate(false_alarms)
    needed = 2 * fewest(false_alarms)
    if clean < needed:
        raise DataError(
            f"{false_alarms:g} false alarms need at least {needed} clean images, half of which set the threshold, but there "
            f"{'is' if clean == 1 else 'are'} {clean}; give more, or allow more false alarms"
        )


def _joined(each: list[Judged]) -> Judged:
    """One judgement of several batches."""
    places = [judged.places for judged in each if judged.places is not None]
    return Judged(
        torch.cat([judged.scores for judged in each]),
        torch.cat([judged.p_values for judged in each]),
        each[0].threshold,
        torch.cat(places) if places else None,
    )
