"""Measurements over several trainings: a number with its interval and its chance level, and what it says of a claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError

Verdict = Literal["agrees", "disagrees", "cannot tell"]
LEVEL, DRAWS = 0.95, 2000


@dataclass(frozen=True)
class Measurement:
    """A mean over all trainings and images, its confidence interval, and each training's own mean.

    `chance` is what a map, or a network, that knows nothing would get; None where the number is a difference or a
    correlation, whose chance is 0.
    """

    name: str
    mean: float
    low: float
    high: float
    chance: float | None
    by_seed: tuple[float, ...]
    images: int

    def __str__(self) -> str:
        chance = "" if self.chance is None else f", chance {self.chance:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]{chance}"


def measured(name: str, values: Sequence[Float[Tensor, " n"]], chance: float | None = None) -> Measurement:
    """One number from each training's values, one for each image; what is not finite is left out.

    The interval is a bootstrap on two levels (Davison & Hinkley 1997, section 3.8): trainings are drawn with replacement, and
    within each of them images. So it covers what another training would have given, not only other images.

    Raises:
        DataError: if a training has no finite value.

    >>> measured("energy", [torch.tensor([0.2, 0.4]), torch.tensor([0.3, 0.5])], chance=0.05).mean
    0.35
    """
    finite = [each[each.isfinite()].double() for each in values]
    if not finite or not all(len(each) for each in finite):
        raise DataError(f"{name} has no value for some training; measure on more images")
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(finite), (DRAWS, len(finite)), generator=generator)
    means = torch.zeros(DRAWS, len(finite), dtype=torch.float64)
    for number, each in enumerate(finite):
        # a training may be drawn several times, each time with images of its own
        for place in range(len(finite)):
            chosen = (drawn[:, place] == number).nonzero()[:, 0]
            images = torch.randint(len(each), (len(chosen), len(each)), generator=generator)
            means[chosen, place] = each[images].mean(1)
    tail = (1 - LEVEL) / 2
    low, high = means.mean(1).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    by_seed = tuple(round(float(each.mean()), 6) for each in finite)
    mean = sum(float(each.mean()) for each in finite) / len(finite)
    return Measurement(name, round(mean, 6), round(low, 6), round(high, 6), chance, by_seed, sum(map(len, finite)))


def above(measurement: Measurement, level: float | None = None) -> Verdict:
    """Whether a number lies above a level (None: its chance, or 0): its interval does, lies below, or holds the level."""
    bar = level if level is not None else measurement.chance or 0.0
    return "agrees" if measurement.low > bar else "disagrees" if measurement.high < bar else "cannot tell"


def all_of(*verdicts: Verdict) -> Verdict:
    """A claim with several parts agrees if all do, disagrees if one does, and cannot be told otherwise.

    >>> all_of("agrees", "cannot tell")
    'cannot tell'
    """
    return "disagrees" if "disagrees" in verdicts else "cannot tell" if "cannot tell" in verdicts else "agrees"
