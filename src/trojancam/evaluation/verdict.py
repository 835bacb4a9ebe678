"""Verdict: which method wins under a metric, or that none does."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.evaluation.statistics import (
    DRAWS,
    LEVEL,
    Interval,
    bootstrap_means,
    holm,
    sign_flip_p_values,
)
from trojancam.showing import Brief

Scores = Mapping[str, Float[Tensor, " _"]]


@dataclass(frozen=True)
class Rival:
    """How far a method is behind the best one: the paired difference, positive in favour of the best.

    `p_value` is that of no difference, adjusted by Holm's method for the number of rivals.
    """

    method: str
    behind: Interval
    p_value: float


@dataclass(frozen=True)
class Verdict(Brief):
    """Which method wins: `winner` is None unless the `best` is significantly better than every other.

    `tied` holds the best and those that are not significantly worse, `rivals` all but the best, nearest first. Only the
    `images` on which every method is defined count, `dropped` did not; methods that have no defined score on any image are
    left out and named in `undefined`.
    """

    best: str
    winner: str | None
    tied: tuple[str, ...]
    rivals: tuple[Rival, ...]
    images: int
    dropped: int
    undefined: tuple[str, ...]
    level: float

    def __str__(self) -> str:
        sample = f"{self.images} images" + (f", {self.dropped} left out as undefined" if self.dropped else "")
        test = f"paired sign-flip test at {self.level:g}, Holm, {sample}"
        if self.winner is not None:
            return f"{self.winner} wins: it is significantly better than every other method ({test})"
        others = ", ".join(self.tied[1:])
        verb = "is" if len(self.tied) == 2 else "are"
        return f"no method wins: {self.best} has the best mean, but {others} {verb} not significantly worse ({test})"


def winner(
    scores: Scores, *, higher_is_better: bool = True, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Verdict:
    """Which method has the best mean score over the images, and whether it is significantly better than every other.

    Each rival is tested against the best by the paired sign-flip test (two-sided, as the data chose the best), and the
    p-values are adjusted by Holm's method for the number of rivals. There is a winner only if every rival is worse. The
    adjustment does not cover that the best was chosen among many: of nine methods that do not differ, some rival is
    called worse about twice as often as `1 - level` says, but hardly ever is there a winner. The intervals are bootstrap
    intervals of each difference by itself.

    Raises:
        DataError: if there are fewer than two methods, numbers of images differ, or fewer than two images have every score.

    >>> print(winner({"A": torch.rand(64) + 1, "B": torch.rand(64)}))
    A wins: it is significantly better than every other method (paired sign-flip test at 0.95, Holm, 64 images)
    >>> same = torch.rand(64)
    >>> winner({"A": same, "B": same}).tied
    ('A', 'B')
    """
    table, undefined = _defined(scores)
    complete = table.isfinite().all(0)
    rows, names = table[:, complete] * (1 if higher_is_better else -1), [m for m in scores if m not in undefined]
    _check_images(
        int(complete.sum()), {name: int(row.isfinite().sum()) for name, row in zip(names, table, strict=True)}
    )
    best = int(rows.mean(1).argmax())
    others = sorted((i for i in range(len(names)) if i != best), key=lambda i: -float(rows[i].mean()))
    differences = rows[best] - rows[others]
    behind = bootstrap_means(differences, level, draws, seed)
    p_values = holm(sign_flip_p_values(differences, draws, seed)).tolist()
    rivals = tuple(Rival(names[i], interval, p) for i, interval, p in zip(others, behind, p_values, strict=True))
    tied = (names[best], *(rival.method for rival in rivals if rival.p_value > 1 - level))
    won = names[best] if len(tied) == 1 else None
    images = int(complete.sum())
    return Verdict(names[best], won, tied, rivals, images, len(complete) - images, undefined, level)


def _defined(scores: Scores) -> tuple[Tensor, tuple[str, ...]]:
    """The scores of the methods that have any, one row each, and the names of those that have none."""
    if len({len(values) for values in scores.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in scores.items())
        raise DataError(f"methods are compared on the same images, but the numbers of scores differ: {lengths}")
    undefined = tuple(name for name, values in scores.items() if not values.isfinite().any())
    rows = [values.detach().double() for name, values in scores.items() if name not in undefined]
    if len(rows) < 2:
        missing = f"; no finite score: {', '.join(undefined)}" if undefined else ""
        raise DataError(
            f"a comparison needs at least two methods with scores, but there is {len(rows) or 'none'}{missing}"
        )
    return torch.stack(rows), undefined


def _check_images(complete: int, finite: dict[str, int]) -> None:
    if complete < 2:
        fewest = min(finite, key=finite.__getitem__)
        raise DataError(
            f"comparing methods needs at least two images on which all are defined, but the number is {complete}; the "
            f"fewest are those of {fewest}, {finite[fewest]}: leave it out, or give more images"
        )
