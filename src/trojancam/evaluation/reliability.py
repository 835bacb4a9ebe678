"""Reliability: can a metric itself be trusted? Agreement between images, between methods and between metrics.

A metric that ranks the methods differently on every image says little by its mean (Tomsett et al., "Sanity checks for
saliency metrics", arXiv 1912.01451).
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import DataError, unknown_name
from trojancam.evaluation.statistics import midranks, spearman
from trojancam.showing import Brief

Scores = Mapping[str, Float[Tensor, " _"]]
LevelOfMeasurement = Literal["nominal", "ordinal", "interval"]

RELIABLE, TENTATIVE = 0.8, 0.667  # Krippendorff, Content Analysis (2004), chapter 11


@dataclass(frozen=True)
class Correlations(Brief):
    """Spearman's correlation between every two of `names` over images; NaN where one of the two is constant.

    `images` counts the images on which both are defined: the others are left out, pair by pair.
    """

    names: tuple[str, ...]
    matrix: Float[Tensor, "k k"]
    images: Int64[Tensor, "k k"]

    @property
    def mean(self) -> float:
        """The mean correlation of two different ones, undefined pairs left out; NaN without any defined pair."""
        rows, columns = torch.triu_indices(len(self.names), len(self.names), offset=1)
        return float(self.matrix[rows, columns].nanmean())


@dataclass(frozen=True)
class InterRater:
    """Krippendorff's alpha of the rankings that `images` give the methods; `dropped` images did not rank all of them."""

    alpha: float
    images: int
    dropped: int

    def __str__(self) -> str:
        meaning = "" if math.isnan(self.alpha) else ": how far images agree on the ranking of the methods"
        return self.in_short + meaning

    @property
    def in_short(self) -> str:
        """The verdict with its alpha; where there is none, why."""
        if math.isnan(self.alpha):
            few = "fewer than two images rank all methods" if self.images < 2 else "no image tells the methods apart"
            return f"undefined: {few}"
        word = "reliable" if self.alpha >= RELIABLE else "tentative" if self.alpha >= TENTATIVE else "unreliable"
        return f"{word} (alpha {self.alpha:.2f})"


@dataclass(frozen=True)
class Reliability(Brief):
    """The three measures: agreement of images, by metric; of methods, by metric; and of metrics, by method.

    `between_images` is inter-rater reliability, `between_methods` inter-method reliability, `between_metrics` internal
    consistency.
    """

    between_images: dict[str, InterRater]
    between_methods: dict[str, Correlations]
    between_metrics: dict[str, Correlations]


def reliability(scores: Mapping[str, Scores], lower_is_better: Collection[str] = ()) -> Reliability:
    """How reliable metrics are, from the score of every image by metric and method: `scores[metric][method]`.

    Inter-rater reliability is Krippendorff's alpha of the ranking of the methods, each image a rater; inter-method
    reliability is Spearman's correlation over images between methods; internal consistency that between metrics
    (arXiv 1912.01451, section 4). Metrics named in `lower_is_better` are turned round, so that agreement is positive.

    Raises:
        DataError: if numbers of images or the methods differ between metrics, or there are no two methods or images.
        UnknownNameError: if `lower_is_better` names no metric.

    >>> easy = torch.tensor([0.1, 0.2, 0.3])
    >>> found = reliability({"ROAD": {"A": easy, "B": easy + 1}, "energy": {"A": easy**2, "B": easy**2 + 1}})
    >>> round(found.between_images["ROAD"].alpha, 3), found.between_metrics["A"].mean
    (1.0, 1.0)
    """
    for metric in lower_is_better:
        if metric not in scores:
            raise unknown_name("metric", metric, scores)
    _check(scores)
    turned = {
        metric: {name: -values if metric in lower_is_better else values for name, values in methods.items()}
        for metric, methods in scores.items()
    }
    methods = next(iter(turned.values()))
    return Reliability(
        between_images={metric: inter_rater(by_method) for metric, by_method in turned.items()},
        between_methods={metric: correlations(by_method) for metric, by_method in turned.items()},
        between_metrics={
            method: correlations({metric: by_method[method] for metric, by_method in turned.items()})
            for method in methods
        },
    )


def inter_rater(scores: Scores) -> InterRater:
    """Krippendorff's ordinal alpha of the rankings of the methods, each image a rater and each method a unit.

    An image that leaves a method undefined ranks on another scale than the rest, and is left out; so is a method that is
    undefined everywhere. Methods of equal score share the mean of their ranks.

    >>> inter_rater({"A": torch.tensor([1.0, 2.0]), "B": torch.tensor([3.0, 4.0])}).alpha
    1.0
    """
    table = torch.stack([values.detach().double() for values in scores.values()])
    somewhere = table.isfinite().any(1)
    complete = table[somewhere].isfinite().all(0) & somewhere.any()
    ranks = midranks(table[somewhere][:, complete].T)
    images = int(complete.sum())
    return InterRater(krippendorff_alpha(ranks), images, len(complete) - images)


def correlations(scores: Scores) -> Correlations:
    """Spearman's correlation over images between every two rows of scores, on the images on which both are defined.

    >>> correlations({"A": torch.tensor([1.0, 2.0, 3.0]), "B": torch.tensor([3.0, 2.0, torch.nan])}).matrix.tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    table = torch.stack([values.detach().double() for values in scores.values()])
    defined = table.isfinite()
    shared = defined[:, None] & defined[None]
    matrix = torch.full(shared.shape[:2], torch.nan, dtype=torch.float64)
    for i in range(len(table)):
        for j in range(i, len(table)):
            both = shared[i, j]
            matrix[i, j] = matrix[j, i] = spearman(table[i, both], table[j, both])
    return Correlations(tuple(scores), matrix, shared.sum(2))


def krippendorff_alpha(ratings: Float[Tensor, "raters units"], level: LevelOfMeasurement = "ordinal") -> float:
    """Krippendorff's alpha, `1 - D_o / D_e`: 1 is perfect agreement, 0 that of chance; a missing rating is NaN.

    With coincidences `o_ck = sum_u n_uc (n_uk - [c = k]) / (m_u - 1)` over units of `m_u >= 2` ratings, their margins
    `n_c` and `n = sum_c n_c`: `alpha = 1 - (n - 1) sum_ck o_ck d_ck^2 / sum_ck n_c n_k d_ck^2`
    (Krippendorff, "Computing Krippendorff's alpha-reliability", 2011). NaN where all ratings are equal or none can be
    paired: there is nothing to agree on.

    Raises:
        UnknownNameError: if the level of measurement is not nominal, ordinal or interval.

    >>> krippendorff_alpha(torch.tensor([[1.0, 2.0, 3.0, torch.nan], [1.0, 2.0, 3.0, 3.0]]))
    1.0
    """
    if level not in DIFFERENCES:
        raise unknown_name("level of measurement", level, DIFFERENCES)
    values = ratings[ratings.isfinite()].double().unique()
    counts = (ratings.double()[:, :, None] == values).double().sum(0)  # of each value in each unit
    counts = counts[counts.sum(1) >= 2]
    shared = counts.T / (counts.sum(1) - 1)
    observed = shared @ counts - torch.diag(shared.sum(1))  # no rating is paired with itself
    margins = counts.sum(0)
    squared = DIFFERENCES[level](values, margins) ** 2
    expected = margins @ squared @ margins
    if expected == 0:
        return math.nan
    return float(1 - (margins.sum() - 1) * (observed * squared).sum() / expected)


def _nominal(values: Tensor, _margins: Tensor) -> Tensor:
    return (values[:, None] != values).double()


def _ordinal(_values: Tensor, margins: Tensor) -> Tensor:
    """Ratings that lie between two values, half of each counted: `sum_{g=c..k} n_g - (n_c + n_k) / 2`."""
    position = margins.cumsum(0) - margins / 2
    return position - position[:, None]


def _interval(values: Tensor, _margins: Tensor) -> Tensor:
    return values - values[:, None]


DIFFERENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
}


def _check(scores: Mapping[str, Scores]) -> None:
    methods = {frozenset(by_method) for by_method in scores.values()}
    if len(methods) != 1 or len(next(iter(methods))) < 2:
        raise DataError("reliability needs at least one metric, and the same two or more methods under each")
    lengths = {len(values) for by_method in scores.values() for values in by_method.values()}
    if len(lengths) != 1 or min(lengths) < 2:
        raise DataError(
            "reliability needs a score of the same two or more images under every metric and method, "
            f"but there are {', '.join(map(str, sorted(lengths)))}"
        )
