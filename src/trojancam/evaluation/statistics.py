"""Statistics over images: intervals by bootstrap, which method is better and whether that is more than chance, rank correlation.

Images are the sample. A score that is not finite (a blank map has no share of energy anywhere) is undefined: its image is
left out and counted, never taken for zero. What compares two methods looks at the images on which both are defined.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from trojancam.errors import DataError

LEVEL = 0.95
DRAWS = 10_000
VALUES_AT_ONCE = 2_000_000  # resampled values held in memory together: 16 MB


@dataclass(frozen=True)
class Interval:
    """A mean over `images` images and its confidence interval at `level`; `dropped` more images had no defined value.

    `mean` is NaN without any defined value, `low` and `high` are NaN with fewer than two.
    """

    mean: float
    low: float
    high: float
    images: int
    dropped: int
    level: float

    def __str__(self) -> str:
        return f"{self.mean:z.3f} [{self.low:z.3f}, {self.high:z.3f}]"


def share_interval(
    hits: int, trials: int, method: Literal["exact", "wilson"] = "exact", level: float = LEVEL
) -> tuple[float, float]:
    """The interval that holds a true share in 95 of 100 cases; without trials all of [0, 1].

    `exact` (Clopper and Pearson, 1934) holds it at least so often, and serves where a verdict rests on its ends; `wilson` (1927)
    holds it so often on average, and is narrower.

    >>> [round(end, 4) for end in share_interval(0, 20)], [round(end, 4) for end in share_interval(0, 20, "wilson")]
    ([0.0, 0.1684], [0.0, 0.1611])
    """
    if not trials:
        return 0.0, 1.0
    missed, outside = trials - hits, (1 - level) / 2
    if method == "exact":
        low = special.betaincinv(hits, missed + 1, outside) if hits else 0.0
        high = special.betaincinv(hits + 1, missed, 1 - outside) if missed else 1.0
    else:
        normal = special.ndtri(1 - outside)
        centre, whole = hits + normal**2 / 2, trials + normal**2
        reach = normal * math.sqrt(hits * missed / trials + normal**2 / 4)
        low = (centre - reach) / whole if hits else 0.0
        high = (centre + reach) / whole if missed else 1.0
    return float(low), float(high)


def conformal_p_values(scores: Float[Tensor, " m"], clean: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """How unusual scores are among clean ones, in rising order: `(1 + #{clean >= score}) / (n + 1)`; 1 for what is no number.

    A further clean score, drawn as these n were, has any rank among them alike, and so a p-value of at most p with a probability
    of at most p (Vovk et al., "Algorithmic Learning in a Random World", 2005).

    >>> conformal_p_values(torch.tensor([2.5, 0.0]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    scores = scores.double().nan_to_num(-math.inf, math.inf, -math.inf)
    below = torch.searchsorted(clean.double(), scores)
    return (1 + len(clean) - below).double() / (1 + len(clean))


def bootstrap_mean(values: Float[Tensor, " n"], level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean over images and its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    The images are drawn `draws` times with replacement; the interval holds the middle `level` of the means. It is
    somewhat too narrow for a sample of fewer than about twenty images.

    Raises:
        DataError: if fewer than two values are finite, or the level or the number of draws makes no sense.

    >>> bootstrap_mean(torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, torch.nan])).images
    5
    """
    interval = bootstrap_means(values[None], level, draws, seed)[0]
    if interval.images < 2:
        raise DataError(
            f"an interval needs finite values of at least two images, but {interval.images} of {len(values)} are finite"
        )
    return interval


def bootstrap_means(
    values: Float[Tensor, "m n"], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[Interval, ...]:
    """`bootstrap_mean` of every row (a method under a metric, say), all from the same draws of images.

    A row with fewer than two finite values does not spoil the table: its interval is NaN.

    Raises:
        DataError: if there are fewer than two images, or the level or the number of draws makes no sense.

    >>> [round(interval.mean, 3) for interval in bootstrap_means(torch.tensor([[1.0, 2.0, 3.0], [0.0, torch.nan, 4.0]]))]
    [2.0, 2.0]
    """
    _check(values.shape[1], level, draws)
    values = values.detach().double()
    defined = values.isfinite()
    filled, counted = values.where(defined, 0.0), defined.double()
    # a draw of images that are all undefined for a row is 0 / 0, and left out below
    means = torch.cat([(filled @ c.T) / (counted @ c.T) for c in _counts(values.shape[1], draws, seed)], dim=1)
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    return tuple(
        _interval(row[kept], len(row), drawn, tails, level)
        for row, kept, drawn in zip(values, defined, means, strict=True)
    )


def paired_difference(
    a: Float[Tensor, " n"], b: Float[Tensor, " n"], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of `a - b` over the images on which both are defined, with its bootstrap interval.

    Every draw takes the same images for both, so what makes an image hard for both methods cancels.

    Raises:
        DataError: if the lengths differ, or fewer than two images have both values.

    >>> str(paired_difference(torch.tensor([3.0, 5.0, 9.0]), torch.tensor([2.0, 4.0, 8.0])))
    '1.000 [1.000, 1.000]'
    """
    if len(a) != len(b):
        raise DataError(f"a paired difference needs the same images, but there are {len(a)} and {len(b)} values")
    return bootstrap_mean(a.double() - b.double(), level, draws, seed)


def sign_flip_p_values(differences: Float[Tensor, "m n"], draws: int = DRAWS, seed: int = 0) -> Float[Tensor, " m"]:
    """Two-sided p-values that the mean of paired differences is zero, for each row of finite differences.

    If two methods were alike on an image, the sign of their difference would be a coin's toss: the p-value is the share of
    `draws` random signs under which the mean is as far from zero as the one seen, `(1 + hits) / (1 + draws)`
    (Fisher 1935; Phipson & Smyth 2010). Unlike a bootstrap it stays valid for a handful of images.

    >>> sign_flip_p_values(torch.zeros(1, 8)).item()
    1.0
    """
    _check(differences.shape[1], LEVEL, draws)
    differences = differences.detach().double()
    seen = differences.sum(1, keepdim=True).abs() * (1 - 1e-9)  # the signs as seen must count, whatever the rounding
    hits = sum(((differences @ signs.T).abs() >= seen).sum(1) for signs in _signs(differences.shape[1], draws, seed))
    return (1 + torch.as_tensor(hits)).double() / (1 + draws)


def holm(p_values: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """P-values adjusted for being one of m, step-down: `max_{j<=i} min(1, (m-j+1) p_(j))` (Holm 1979).

    >>> [round(p, 4) for p in holm(torch.tensor([0.01, 0.04, 0.03])).tolist()]
    [0.03, 0.06, 0.06]
    """
    ordered, order = p_values.sort()
    factors = torch.arange(len(p_values), 0, -1, dtype=p_values.dtype)
    adjusted = (ordered * factors).clamp(max=1).cummax(0).values if len(p_values) else ordered
    return torch.empty_like(p_values).scatter_(0, order, adjusted)


def midranks(values: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
    """Ranks 1 to n along the last axis, ties sharing the mean of theirs; values must be finite.

    >>> midranks(torch.tensor([10.0, 30.0, 10.0])).tolist()
    [1.5, 3.0, 1.5]
    """
    values = values.contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def spearman(a: Float[Tensor, "*rows n"], b: Float[Tensor, "*rows n"]) -> Float[Tensor, " *rows"]:
    """Spearman's rank correlation along the last axis: Pearson's correlation of the midranks.

    NaN where it is undefined: one side is constant, holds a value that is not finite, or has fewer than two values.

    Raises:
        DataError: if the shapes differ.

    >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0])).item()
    1.0
    """
    if a.shape != b.shape:
        raise DataError(f"values of shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be correlated one by one")
    middle = (a.shape[-1] + 1) / 2  # the mean of midranks, whatever the ties
    x, y = midranks(a.nan_to_num()) - middle, midranks(b.nan_to_num()) - middle
    correlation = (x * y).sum(-1) / ((x * x).sum(-1) * (y * y).sum(-1)).sqrt()
    finite = a.isfinite().all(-1) & b.isfinite().all(-1)
    return correlation.clamp(-1, 1).where(finite, torch.nan)


def _check(images: int, level: float, draws: int) -> None:
    if images < 2:
        raise DataError(f"statistics over images need at least two images, not {images}")
    if not 0 < level < 1:
        raise DataError(f"a confidence level lies between 0 and 1, such as 0.95, and is not {level}")
    if draws < 1:
        raise DataError(f"resampling needs at least one draw, not {draws}")


def _interval(defined: Tensor, total: int, drawn: Tensor, tails: Tensor, level: float) -> Interval:
    mean = float(defined.mean()) if len(defined) else math.nan
    low, high = torch.nanquantile(drawn, tails).tolist() if len(defined) > 1 else (math.nan, math.nan)
    return Interval(mean, low, high, len(defined), total - len(defined), level)


def _counts(images: int, draws: int, seed: int) -> Iterator[Tensor]:
    """How often each image is drawn, `b n` at a time, `draws` rows in all."""

    def some(generator: torch.Generator, rows: int) -> Tensor:
        chosen = torch.randint(images, (rows, images), generator=generator)
        ones = torch.ones(1, 1, dtype=torch.float64).expand(rows, images)
        return torch.zeros(rows, images, dtype=torch.float64).scatter_add_(1, chosen, ones)

    return _in_parts(some, images, draws, seed)


def _signs(images: int, draws: int, seed: int) -> Iterator[Tensor]:
    """Random signs for each image, `b n` at a time, `draws` rows in all."""
    return _in_parts(
        lambda generator, rows: torch.randint(2, (rows, images), generator=generator).double() * 2 - 1,
        images,
        draws,
        seed,
    )


def _in_parts(some: Callable[[torch.Generator, int], Tensor], images: int, draws: int, seed: int) -> Iterator[Tensor]:
    generator, most = torch.Generator().manual_seed(seed), max(1, VALUES_AT_ONCE // images)
    for done in range(0, draws, most):
        yield some(generator, min(most, draws - done))
