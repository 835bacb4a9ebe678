"""Energy: how much of a map lies where it is expected."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.errors import DataError


def energy_in_mask(maps: Float[Tensor, "*n h w"], mask: Bool[Tensor, "*#n h w"]) -> Float[Tensor, " *n"]:
    """The share of a map's positive energy that lies inside the mask, `sum(L m) / sum(L)`; NaN where the map is blank.

    `mask` is one for all maps, or one for each. The chance level is the mask's share of the image: what a map of one value
    everywhere gets.

    Raises:
        DataError: if maps and mask are of different sizes.

    >>> energy_in_mask(torch.tensor([[1.0, 3.0], [0.0, -5.0]]), torch.tensor([[False, True], [False, True]]))
    tensor(0.7500)
    """
    if maps.shape[-2:] != mask.shape[-2:]:
        raise DataError(f"the maps are of {tuple(maps.shape[-2:])} pixels, but the mask of {tuple(mask.shape[-2:])}")
    positive = maps.relu()
    total = positive.sum((-2, -1))
    return torch.where(total > 0, (positive * mask.to(maps.device)).sum((-2, -1)) / total, torch.nan)
