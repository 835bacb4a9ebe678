"""Occlusion: how far the score falls when a grey square hides a part of the image (Zeiler and Fergus, ECCV 2014, section 4.2)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.network.targets import Target

PART = 4  # the square's side is this part of the image's shorter side
OVERLAP = 2  # squares begin at every such part of a side
COPIES = 3  # of an image: what is hidden, what is hidden of it, and the result

Squares = Float[Tensor, "m 1 h w"]


def occlusion(
    network: Network, images: Float[Tensor, "n 3 h w"], target: Target, memory_budget: int
) -> Float[Tensor, "n h w"]:
    """The mean drop of the score over the squares that cover a pixel, `mean_s (y - y_s)`; no gradient is involved.

    A square is a quarter of the shorter side, and squares overlap by half; they reach over the edges, so that each pixel is
    covered as often, four times. Hidden pixels become 0 as the network is fed: the mean colour. Negative where the score rises.
    """
    covers = squares(network.input.size).to(network.device)
    rows = network.rows(memory_budget, beside=COPIES * images[0].nbytes)
    drops = images.new_zeros(len(images), len(covers), device=network.device)
    with torch.no_grad():
        inputs = network.inputs(images)
        for number in range(len(images)):
            for part in parts(len(covers), max(1, rows - 1)):
                hidden = inputs[number] * (1 - covers[part])
                logits = network.forward_with(torch.cat([inputs[number : number + 1], hidden]), ())[0]
                own = torch.full((len(logits),), number, device=network.device)
                whole, *scores = target.of(own, len(images))(logits).split([1, len(hidden)])
                drops[number, part] = whole - scores[0]
    return torch.einsum("nm,mhw->nhw", drops, covers[:, 0]) / covers.sum((0, 1))


def squares(size: tuple[int, int]) -> Squares:
    """The squares as masks of 1, row by row.

    >>> squares((8, 8)).shape, squares((8, 8)).sum((0, 1)).unique()
    (torch.Size([81, 1, 8, 8]), tensor([4.]))
    """
    side = max(1, math.ceil(min(size) / PART))
    step = max(1, side // OVERLAP)
    down, across = (_spans(extent, side, step) for extent in size)
    return torch.einsum("ah,bw->abhw", down, across).flatten(0, 1)[:, None]


def _spans(extent: int, side: int, step: int) -> Float[Tensor, "m extent"]:
    """Which pixels of an axis each square covers; the first and the last one reach over the edge."""
    pixels = torch.arange(extent, device="cpu")
    starts = torch.arange(step - side, extent, step, device="cpu")
    return ((pixels >= starts[:, None]) & (pixels < starts[:, None] + side)).float()
