"""Measurements that may be undefined: there is nothing to measure, so nothing can be told, and no error is made of it."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from trojancam_study.measurements import Measurement, Verdict, above, measured


def measured_if_defined(
    name: str, values: Sequence[Float[Tensor, " _"]], chance: float | None = None, unit: str = "images"
) -> Measurement | None:
    """`measured`, or None if some training has no finite value.

    >>> import torch
    >>> measured_if_defined("nothing", [torch.tensor([1.0]), torch.tensor([torch.nan])]) is None
    True
    """
    if not values or not all(bool(each.isfinite().any()) for each in values):
        return None
    return measured(name, values, chance, unit)


def above_if_defined(measurement: Measurement | None, level: float | None = None) -> Verdict:
    """`above`, or "cannot tell" where there is no measurement.

    >>> above_if_defined(None)
    'cannot tell'
    """
    return "cannot tell" if measurement is None else above(measurement, level)
