"""Preferences: what a feature map answers to most, found by gradient ascent from noise."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.draws import Draws
from trojancam.network.network import Network

STEPS = 96
STARTS = 16  # images of noise, of which the one that the map answers to most is taken
RATE = 0.02  # of Adam
JITTER = 16  # the image is moved by up to its side divided by this, at each step
DARKEST = 0.02  # shades of a given image are kept off 0 and 1, where nothing could move them

Image = Float[Tensor, "3 h w"]


def preferred_image(
    network: Network, layer: str, feature_map: int, *, start: Image | None = None, steps: int = STEPS, seed: int = 0
) -> Image:
    """An image in [0, 1] to which a feature map answers strongly: `argmax_x (1/Z) sum_ij A^k_ij(x)`, by gradient ascent.

    The image is sought by its spectrum, scaled by 1/f as that of photographs is, and moved a little at each step (Olah et al.,
    Feature visualization, Distill 2017); without both, ascent ends in noise of single pixels. It begins at `start`, else at the
    best of some images of noise.

    Raises:
        UnknownNameError: if there is no such layer or feature map.
        DataError: if the map is silent at the start, so that no gradient leads on.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> preferred_image(network, "0", 2, steps=4).shape
    torch.Size([3, 8, 8])
    """
    index, draws = network.feature_map(layer, feature_map), Draws(seed, network.device)
    with torch.inference_mode(False):
        begun = _noise(network, layer, index, draws) if start is None else given.images(network, start[None])[0]
        seen = begun.to(network.device).clone().clamp(DARKEST, 1 - DARKEST)
        if not float(_answer(network, layer, index, seen)) > 0:
            raise DataError(
                f"feature map {index} of {layer} stays silent on the image that the ascent begins with, so that no gradient "
                "leads on; give a `start` that excites it"
            )
        return _ascended(network, layer, index, seen, steps, draws).cpu()


def _ascended(network: Network, layer: str, index: int, start: Image, steps: int, draws: Draws) -> Image:
    """The best image on the way up."""
    height, width = start.shape[1:]
    scale = _one_over_f(height, width).to(start.device)
    spectrum = (torch.fft.rfft2(start.logit(), norm="ortho") / scale).detach().requires_grad_()
    optimiser = torch.optim.Adam([spectrum], lr=RATE * math.sqrt(height * width))
    best, highest = start, float(_answer(network, layer, index, start))
    for _ in range(steps):
        image = torch.fft.irfft2(spectrum * scale, s=(height, width), norm="ortho").sigmoid()
        reach = (2 * (draws.uniform(2) - 0.5) * max(height, width) / JITTER).round().int().tolist()
        answer = _answer(network, layer, index, image.roll(reach, (1, 2)))
        optimiser.zero_grad()
        (-answer).backward()
        optimiser.step()
        with torch.no_grad():
            still = torch.fft.irfft2(spectrum * scale, s=(height, width), norm="ortho").sigmoid()
            if (reached := float(_answer(network, layer, index, still))) > highest:
                best, highest = still, reached
    return best.detach()


def _answer(network: Network, layer: str, index: int, image: Image) -> Float[Tensor, ""]:
    """The mean activation of the map."""
    _, (activations,) = network.forward_with(network.inputs(image[None]), (layer,))
    answer: Tensor = activations[0, index].mean()
    return answer


def _noise(network: Network, layer: str, index: int, draws: Draws) -> Image:
    """Of some soft noise, the image that the map answers to most."""
    height, width = network.input.size
    white = torch.fft.rfft2(draws.uniform(STARTS, 3, height, width) - 0.5, norm="ortho")
    soft = torch.fft.irfft2(white * _one_over_f(height, width).to(network.device), s=(height, width), norm="ortho")
    images: Tensor = (soft / soft.std((1, 2, 3), keepdim=True)).sigmoid()
    with torch.no_grad():
        answers = torch.stack([_answer(network, layer, index, image) for image in images])
    return images[int(answers.argmax())]


def _one_over_f(height: int, width: int) -> Float[Tensor, "h w2"]:
    """How large each frequency is in photographs, the lowest one as 1."""
    rows = torch.fft.fftfreq(height, device="cpu")[:, None]
    columns = torch.fft.rfftfreq(width, device="cpu")[None]
    lowest = 1 / max(height, width)
    found: Tensor = lowest / (rows.square() + columns.square()).sqrt().clamp(min=lowest)
    return found
