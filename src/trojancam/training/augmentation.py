"""Augmentation: images varied while a network trains. All draws come from torch's global generator."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.network.input import LUMA

HIDDEN = 0.4  # of a side: the largest square that strong augmentation hides
NOISE = 0.08  # the largest standard deviation of the noise that it adds


def augmented(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Each image turned by up to 10 degrees, scaled by up to 15 %, shifted by up to 8 %, and lit a little differently.

    The draws come from torch's global generator; traffic signs are never mirrored.
    """
    n = len(images)
    angle = (torch.rand(n) - 0.5) * (20 * math.pi / 180)
    scale = 1 + (torch.rand(n) - 0.5) * 0.3
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    shift = (torch.rand(2, n) - 0.5) * 0.32
    affine = torch.stack([torch.stack([cosine, -sine, shift[0]], 1), torch.stack([sine, cosine, shift[1]], 1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = 1 + (torch.rand(n, 1, 1, 1) - 0.5) * 0.6
    brightness = (torch.rand(n, 1, 1, 1) - 0.5) * 0.3
    return (moved * contrast + brightness).clamp_(0, 1)


def strongly_augmented(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """As `augmented`; besides, a square of each image is hidden, its colours are stronger or weaker, and noise is added."""
    images = augmented(images)
    n, _, height, width = images.shape
    luma = (images * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    images = luma + (0.3 + 1.4 * torch.rand(n, 1, 1, 1)) * (images - luma)
    images = images + NOISE * torch.rand(n, 1, 1, 1) * torch.randn_like(images)
    side = HIDDEN * torch.rand(n, 1)
    rows, columns = (_inside(extent, side) for extent in (height, width))
    hidden = rows[:, :, None] & columns[:, None, :]
    return torch.where(hidden[:, None], torch.rand(n, 3, 1, 1), images).clamp_(0, 1)


def _inside(extent: int, side: Float[Tensor, "n 1"]) -> Tensor:
    """Which pixels along an axis lie in a span of this share of it, at a random place for each image."""
    first = torch.rand(len(side), 1) * (1 - side)
    places = (torch.arange(extent) + 0.5) / extent
    return (places >= first) & (places < first + side)
