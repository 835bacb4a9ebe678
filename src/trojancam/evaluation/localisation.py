"""Localisation: does a map look where it should? Maps against a known mask, with the chance level beside each figure."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.errors import DataError

Mask = Bool[Tensor, "h w"]


def dilated(mask: Mask, cell: tuple[int, int]) -> Mask:
    """The mask grown by one cell of a layer on every side, as a map cannot be more precise than its cells.

    `cell` is the height and width of a cell in pixels, as `Placement.cell` gives it.

    >>> import torch
    >>> mask = torch.zeros(8, 8, dtype=torch.bool)
    >>> mask[4, 4] = True
    >>> int(dilated(mask, cell=(2, 2)).sum())
    25
    """
    rows, columns = cell
    padded = F.pad(mask[None, None].float(), (columns, columns, rows, rows))
    return F.max_pool2d(padded, (2 * rows + 1, 2 * columns + 1), stride=1)[0, 0] > 0


def energy_in_mask(maps: Float[Tensor, "*n h w"], mask: Mask) -> Float[Tensor, " *n"]:
    """The share of a map's positive energy that lies inside the mask, `sum(L m) / sum(L)`; NaN where the map is blank.

    The chance level is the mask's share of the image: what a map of one value everywhere gets.

    Raises:
        DataError: if maps and mask are of different sizes.

    >>> import torch
    >>> energy_in_mask(torch.tensor([[1.0, 3.0], [0.0, -5.0]]), torch.tensor([[False, True], [False, True]]))
    tensor(0.7500)
    """
    if maps.shape[-2:] != mask.shape:
        raise DataError(f"the maps are of {tuple(maps.shape[-2:])} pixels, but the mask of {tuple(mask.shape)}")
    positive = maps.relu()
    total = positive.sum((-2, -1))
    return torch.where(total > 0, (positive * mask).sum((-2, -1)) / total, torch.nan)


def layer_energy(attribution: Attribution, mask: Mask) -> Float[Tensor, " n"]:
    """Each image's share of the layer map's energy inside the mask, upsampled to the image; NaN where it is blank."""
    return energy_in_mask(attribution.heatmap(), mask)


def feature_map_energy(attribution: Attribution, mask: Mask) -> Float[Tensor, "n k"]:
    """Each image's share of every single feature map's energy inside the mask; NaN where a map is blank."""
    return energy_in_mask(attribution.at_image_size(attribution.feature_maps()), mask)
