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
AT_ONCE = 100  # draws: of 1,500 images they hold a megabyte


@dataclass(frozen=True)
class Measurement:
    """A mean over all trainings and images, its confidence interval, and each training's own mean.

    `chance` is what a map, or a network, that knows nothing would get; None where the number is a difference or a
    correlation, whose chance is 0. It is a mean of `count` values over all trainings, one for each of what `unit` says.
    """

    name: str
    mean: float
    low: float
    high: float
    chance: float | None
    by_seed: tuple[float, ...]
    count: int
    unit: str = "images"

    def __str__(self) -> str:
        chance = "" if self.chance is None else f", chance {self.chance:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]{chance}"


def measured(
    name: str, values: Sequence[Float[Tensor, " _"]], chance: float | None = None, unit: str = "images"
) -> Measurement:
    """One number from each training's values, one for each image (or another `unit`); what is not finite is left out.

    The interval is a bootstrap on two levels (Davison & Hinkley 1997, section 3.8): trainings are drawn with replacement,
    and images, the same ones for all trainings where each was measured on the same number. With two or three trainings it
    cannot leave the range of their means, and says little of what another training would have given; with one it is about
    images alone. So the trainings' own means stand beside it.

    Raises:
        DataError: if a training has no finite value.

    >>> measured("energy", [torch.tensor([0.2, 0.4]), torch.tensor([0.3, 0.5])], chance=0.05).mean
    0.35
    """
    finite = [each[each.isfinite()].double() for each in values]
    if not finite or not all(len(each) for each in finite):
        raise DataError(f"{name} has no value for some training; measure on more images")
    means = _drawn_means([each.double().where(each.isfinite(), torch.nan) for each in values])
    tail = (1 - LEVEL) / 2
    low, high = means.nanquantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    by_seed = tuple(round(float(each.mean()), 6) for each in finite)
    mean = sum(float(each.mean()) for each in finite) / len(finite)
    return Measurement(
        name, round(mean, 6), round(low, 6), round(high, 6), chance, by_seed, sum(map(len, finite)), unit
    )


def _drawn_means(values: Sequence[Float[Tensor, " _"]]) -> Float[Tensor, " draws"]:
    """Means of trainings and images drawn with replacement; a training of which no known value was drawn is left out."""
    generator = torch.Generator().manual_seed(0)
    trainings = torch.randint(len(values), (DRAWS, len(values)), generator=generator)
    times_drawn = torch.stack([torch.bincount(row, minlength=len(values)) for row in trainings]).double()
    paired = len({len(each) for each in values}) == 1
    images = torch.randint(len(values[0]), (DRAWS, len(values[0])), generator=generator)
    means = []
    for each in values:
        drawn = images if paired else torch.randint(len(each), (DRAWS, len(each)), generator=generator)
        means.append(torch.cat([each[part].nanmean(1) for part in drawn.split(AT_ONCE)]))
    known = torch.stack(means, 1)
    return (times_drawn * known.nan_to_num(0)).sum(1) / (times_drawn * known.isfinite()).sum(1)


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
