"""Baselines: maps that every method should beat; two of them know nothing of the network."""

import zlib

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.placement import Axis, Placement
from trojancam.network.targets import Target

Maps = Float[Tensor, "n h w"]


def saliency(network: Network, images: Float[Tensor, "n 3 h w"], target: Target) -> tuple[Maps, bool]:
    """Plain gradient: `max_c |dy/dx_c|` over the colour channels of each pixel in [0, 1] (arXiv 1312.6034).

    Also returns whether the score depends on the pixels at all.
    """
    with torch.inference_mode(False), torch.enable_grad():
        pixels = images.to(network.device).detach().clone().requires_grad_()
        scores = target(network.forward_with(network.inputs(pixels), ())[0])
        if not scores.requires_grad:
            return torch.zeros_like(pixels[:, 0]), False
        (gradients,) = torch.autograd.grad(scores.sum(), pixels, allow_unused=True)
    if gradients is None:
        return torch.zeros_like(pixels[:, 0]), False
    return gradients.abs().amax(1), True


def draws_of(layer: str, seed: int, device: torch.device) -> Draws:
    """The random numbers of a layer's random map: each layer has its own."""
    return Draws(seed ^ zlib.crc32(layer.encode()), device)


def random_map(count: int, cells: tuple[int, int], draws: Draws) -> Maps:
    """Even noise in [0, 1], one value a cell, so that it is as coarse as the layer's maps."""
    return draws.uniform(count, *cells)


def centre_map(count: int, cells: tuple[int, int], placement: Placement, image_size: tuple[int, int]) -> Maps:
    """1 at the centre of the image, falling evenly to 0 at its corners: `1 - distance / (distance of a corner)`."""
    rows = _from_centre(placement.rows, cells[0], image_size[0])
    columns = _from_centre(placement.columns, cells[1], image_size[1])
    distance = (rows[:, None] ** 2 + columns[None, :] ** 2).sqrt() / 2**0.5
    return (1 - distance).clamp(min=0).expand(count, *cells)


def _from_centre(axis: Axis, cells: int, pixels: int) -> Float[Tensor, " cells"]:
    """How far the centre of each cell lies from the image's, in half the image."""
    place = axis.offset + axis.stride * torch.arange(cells, dtype=torch.float64, device="cpu")
    return ((place - (pixels - 1) / 2) / (pixels / 2)).float()
