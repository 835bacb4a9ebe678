"""Reach: how far the feature maps of a layer can be driven, by clean images and by what can be laid over them."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.stimulation_maps.windows import SHARE
from trojancam.network.cut import Cut
from trojancam.network.replay import before

SILENT = 0.1  # of the median map's largest activation


@torch.no_grad()
def reach(cut: Cut, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " k"]:
    """The largest activation of each map over the images, as they are and with saturated patches laid over them.

    What a trigger does is not bounded by what clean images do: a magenta patch may drive a map several times as far as any
    traffic sign. The patches know nothing of the trigger; they are all corners of the colour cube, and checkerboards.
    A map that answers to none of this gets what the median map reaches: it must not go unstimulated for being silent.
    """
    largest = torch.stack([part[0].amax((0, 2, 3)) for probe in probes(images) for part in before(cut, probe)]).amax(0)
    typical = largest.quantile(0.5)
    return torch.where(largest < SILENT * typical, typical, largest)


def probes(images: Float[Tensor, "n 3 h w"]) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """The images, and the images with squares of each saturated pattern on every other place in rows and columns."""
    (height, width), device = images.shape[-2:], images.device
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    covered = (rows // max(2, height // SHARE) % 2 == 0) & (columns // max(2, width // SHARE) % 2 == 0)
    colours = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=device)] * 3)[..., None, None]
    checkerboard = ((rows + columns) % 2).to(images.dtype)
    yield images
    for pattern in (*colours, checkerboard, 1 - checkerboard):
        yield torch.where(covered, pattern, images)
