"""Baselines: heat maps that know nothing of the network. A method that does not beat them says nothing.

The mask of a known trigger, as a map, is the opposite: what a perfect method would show.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.evaluation.perturbation import generator

Maps = Float[Tensor, "n h w"]


def random_maps(count: int, size: tuple[int, int], seed: int = 0, first_image: int = 0) -> Maps:
    """A map of uniform noise in [0, 1) for each image of `size` (height, width), by the image's index.

    >>> torch.equal(random_maps(3, (4, 5))[1:], random_maps(2, (4, 5), first_image=1))
    True
    """
    maps = np.empty((count, *size), np.float32)
    for image in range(count):
        maps[image] = generator(seed, first_image + image, "random map").random(size, np.float32)
    return torch.from_numpy(maps)


def centre_maps(count: int, size: tuple[int, int], spread: float = 0.25) -> Maps:
    """A Gaussian around the centre of the image for each image, 1 at its peak: what photographers aim at.

    `spread` is its standard deviation as a share of the image's height, and of its width.

    >>> centre_maps(1, (3, 3))[0, 1]
    tensor([0.4111, 1.0000, 0.4111])
    """
    rows, columns = (
        torch.exp(-0.5 * ((torch.arange(extent) - (extent - 1) / 2) / (spread * extent)) ** 2) for extent in size
    )
    return (rows[:, None] * columns).expand(count, *size)


def mask_maps(count: int, mask: Bool[Tensor, "h w"]) -> Maps:
    """A known mask, such as a trigger's support, as a map for each image: 1 inside and 0 outside."""
    return mask.float().expand(count, *mask.shape)
