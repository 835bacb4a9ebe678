"""Rates with intervals: shares, and how well scores tell two kinds of networks apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trojancam.evaluation.statistics import share_interval

LEVEL, DRAWS = 0.95, 10_000


@dataclass(frozen=True)
class Rate:
    """A number with its interval; `of` says over how many networks."""

    value: float
    low: float
    high: float
    of: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]" if self.of else "-"


def share(hits: Sequence[bool]) -> Rate:
    """A share with Wilson's score interval, which holds for few cases, too."""
    if not hits:
        return Rate(math.nan, math.nan, math.nan, 0)
    return Rate(sum(hits) / len(hits), *share_interval(sum(hits), len(hits), "wilson", LEVEL), len(hits))


def auroc(clean: Sequence[float], trojaned: Sequence[float], seed: int = 0) -> Rate:
    """How often a trojaned network scores higher than a clean one (ties count half), with a bootstrap interval.

    Networks are drawn anew within each kind. A perfect separation has an interval of no width: with few networks that
    says little, so its lower end is that of a rule of three, `1 - 3 / (the smaller number of networks)`.
    """
    low, high = np.asarray(clean), np.asarray(trojaned)
    wins = (high[:, None] > low).astype(float) + 0.5 * (high[:, None] == low)
    generator = np.random.default_rng(seed)
    rows, columns = (generator.integers(0, count, (DRAWS, count)) for count in wins.shape)
    drawn = np.array([wins[np.ix_(row, column)].mean() for row, column in zip(rows, columns, strict=True)])
    tail = (1 - LEVEL) / 2
    value, least = float(wins.mean()), float(np.quantile(drawn, tail))
    if value == 1:
        least = max(0.0, 1 - 3 / min(wins.shape))
    return Rate(value, least, float(np.quantile(drawn, 1 - tail)), wins.size)
