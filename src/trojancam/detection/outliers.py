"""Outliers: how far a value stands out from the others, in units that outliers themselves do not stretch."""

import torch
from jaxtyping import Float
from torch import Tensor

CONSISTENCY = 1.4826  # MAD times this is the standard deviation of a normal distribution
MANY_CLASSES = 20
"""Of fewer, one class stands out by chance more easily, and a change without any meaning brings more images to a class."""
OF_FEW = 0.77
"""What a share of images counts for among few classes: in clean networks of ten, shares reach 0.62, of 43 classes 0.33."""
LEADERS = 2  # a backdoor may have so many targets


def outlyingness(values: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """How far each value is above the median, in robust standard deviations: `(v - median) / (1.4826 MAD)`.

    MAD is the median of the absolute deviations from the median; the median of an even number of values is the mean of
    the middle two. Where more than half of the values are equal, they are 0 and all others very far out.

    >>> outlyingness(torch.tensor([2.0, 50.0, 40.0, 60.0, 45.0])).round(decimals=2)
    tensor([-5.8000,  0.6700, -0.6700,  2.0200,  0.0000])
    """
    deviations = values - values.quantile(0.5)
    scale = CONSISTENCY * deviations.abs().quantile(0.5)
    return deviations / scale.clamp(min=torch.finfo(values.dtype).eps)


def leads_of(ratios: Float[Tensor, " r"], count: int) -> Float[Tensor, " m"]:
    """How far the first of `count` ranked values stands out from the next, or the first two do: natural logarithms.

    `ratios` are those of each value to the next one, above 1 where it is ahead. The first has `max(ln r1, ln r2)`, the
    second `ln r2`: where two stand out alike, they stand out from the third. All others have 0.

    >>> leads_of(torch.tensor([2.0, 1.25, 9.0]), 4)
    tensor([0.6931, 0.2231, 0.0000, 0.0000])
    """
    found = ratios.new_zeros(count)
    steps = ratios[:LEADERS].log()
    for place in range(len(steps)):
        found[place] = steps[place:].max()
    return found


def share_counted(share: float, classes: int) -> float:
    """What the share of images that a change sends somewhere counts for: of few classes, chance sends more of them.

    >>> share_counted(0.5, 43), share_counted(0.5, 10)
    (0.5, 0.385)
    """
    return share if classes >= MANY_CLASSES else OF_FEW * share
