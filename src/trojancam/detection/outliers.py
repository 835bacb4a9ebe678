"""Outliers: how far a value stands out from the others, in units that outliers themselves do not stretch."""

import torch
from jaxtyping import Float
from torch import Tensor

CONSISTENCY = 1.4826  # MAD times this is the standard deviation of a normal distribution


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
