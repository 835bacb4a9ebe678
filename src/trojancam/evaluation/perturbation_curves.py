"""Insertion and deletion: how soon the score falls as the most relevant pixels go, and how soon it rises as they come.

The area under these curves is the metric of RISE (Petsiuk et al., arXiv 1806.07421): low for deletion, high for insertion.
What stands where a pixel is absent is itself seen by the network, so it is named and can be chosen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.attribution import GivenMaps
from trojancam.errors import DataError
from trojancam.evaluation.perturbation import (
    Images,
    images_and_maps,
    perturbed_scores,
    pixel_counts,
    ranked,
)
from trojancam.network import given
from trojancam.network.batches import BUDGET
from trojancam.network.network import Network
from trojancam.network.targets import probability
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

Kind = Literal["deletion", "insertion"]


@dataclass(frozen=True)
class Background(Brief):
    """What stands where pixels are absent: `background(images)` is an image without any of its own, for each."""

    name: str
    make: Callable[[Images], Images]

    def __call__(self, images: Images) -> Images:
        """The background of each image."""
        return self.make(images)


@dataclass(frozen=True)
class PerturbationCurve(Brief):
    """Each image's scores as the most relevant pixels are deleted from it, or inserted into its background.

    `shares` are the shares of the pixels that have changed, from 0 to 1, one for each column of `scores`.
    """

    kind: Kind
    shares: tuple[float, ...]
    scores: Float[Tensor, "n s"]
    target: str
    background: str
    seed: int

    @property
    def auc(self) -> Float[Tensor, " n"]:
        """The area under each image's curve by the trapezoidal rule: the mean score, over all shares."""
        return torch.trapezoid(self.scores, torch.tensor(self.shares, dtype=self.scores.dtype), dim=1)


def colour(red: float, green: float, blue: float) -> Background:
    """One colour, in [0, 1].

    >>> colour(1.0, 0.5, 0.0)(torch.zeros(1, 3, 1, 1)).flatten()
    tensor([1.0000, 0.5000, 0.0000])
    """
    values = torch.tensor([red, green, blue]).view(1, 3, 1, 1)
    return Background(f"colour ({red:g}, {green:g}, {blue:g})", lambda images: values.to(images).expand_as(images))


def mean_colour() -> Background:
    """Each image's own mean colour."""
    return Background("mean colour", lambda images: images.mean((2, 3), keepdim=True).expand_as(images))


def blurred(sigma: float | None = None) -> Background:
    """The images, blurred by a Gaussian of `sigma` pixels: an eighth of the shorter side, unless told otherwise.

    RISE takes 5 pixels for images of 224, cut off after as many, which would leave a small image easy to recognise.

    Raises:
        DataError: if sigma is not positive.
    """
    if sigma is not None and not sigma > 0:
        raise DataError(f"a blur needs a positive number of pixels, not {sigma}")
    name = f"blur of {sigma:g} pixels" if sigma else "blur of an eighth of the side"
    return Background(name, lambda images: _blur(images, sigma or min(images.shape[2:]) / 8))


def deletion(
    network: Network,
    images: given.GivenImages,
    heatmaps: GivenMaps,
    target: given.GivenTarget = None,
    *,
    steps: int | None = None,
    background: Background | None = None,
    seed: int = 0,
    first_image: int = 0,
    memory_budget: int = BUDGET,
    progress: Progress = silent,
) -> PerturbationCurve:
    """Scores of images as their most relevant pixels are replaced by the background; a low AUC is good.

    From the whole image to the background in `steps` equal steps, to the nearest pixel: one for each row of the image
    unless told otherwise, as in RISE (arXiv 1806.07421). The background is the colour that the network normalises to zero,
    as in RISE's code, or black where it does not normalise. Among tied pixels chance decides. Heat maps, target, seed and
    `first_image` are as for `road`.

    Raises:
        DataError: if the network cannot take the images, maps do not match them or are not finite, or there is no step or
            more than pixels.
        UnknownNameError: if the network does not have the target's class.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> curve = deletion(network, torch.rand(5, 3, 8, 8), torch.rand(5, 8, 8))
    >>> curve.scores.shape, curve.auc.shape
    (torch.Size([5, 9]), torch.Size([5]))
    """
    background = background or colour(*network.input.mean)
    return _curve(
        "deletion", network, images, heatmaps, target, steps, background, seed, first_image, memory_budget, progress
    )


def insertion(
    network: Network,
    images: given.GivenImages,
    heatmaps: GivenMaps,
    target: given.GivenTarget = None,
    *,
    steps: int | None = None,
    background: Background | None = None,
    seed: int = 0,
    first_image: int = 0,
    memory_budget: int = BUDGET,
    progress: Progress = silent,
) -> PerturbationCurve:
    """Scores of the background as the most relevant pixels of the image are put into it; a high AUC is good.

    The background is the blurred image, as in RISE (arXiv 1806.07421): on one of a single colour, the edges of what is
    inserted would count as well. All else is as for `deletion`; the predicted class is that of the whole image.

    Raises:
        DataError, UnknownNameError: as `deletion` does.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> insertion(network, torch.rand(5, 3, 8, 8), torch.rand(5, 8, 8), steps=4).shares
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    background = background or blurred()
    return _curve(
        "insertion", network, images, heatmaps, target, steps, background, seed, first_image, memory_budget, progress
    )


def _curve(
    kind: Kind,
    network: Network,
    images: given.GivenImages,
    heatmaps: GivenMaps,
    target: given.GivenTarget,
    steps: int | None,
    background: Background,
    seed: int,
    first_image: int,
    memory_budget: int,
    progress: Progress,
) -> PerturbationCurve:
    whole, maps = images_and_maps(network, images, heatmaps)
    whole, maps = whole.cpu(), maps.cpu()  # only the network computes elsewhere
    pixels = maps[0].numel()
    steps = whole.shape[2] if steps is None else steps
    if not 1 <= steps <= pixels:
        raise DataError(f"{steps} steps cannot be taken over {pixels} pixels; take 1 to {pixels}")
    score = given.target(network, target, probability)
    ranks = ranked(maps, seed, first_image)
    counts = pixel_counts([step / steps for step in range(steps + 1)], pixels)
    before, after = (whole, background(whole)) if kind == "deletion" else (background(whole), whole)

    def variants(rows: slice, columns: slice) -> Float[Tensor, "b v 3 h w"]:
        changed = ranks[rows, None] < counts[None, columns, None, None]
        return torch.where(changed[:, :, None], after[rows, None], before[rows, None])

    _, scores = perturbed_scores(network, whole, variants, len(counts), score, memory_budget, progress)
    shares = tuple(int(count) / pixels for count in counts)
    return PerturbationCurve(kind, shares, scores, score.name, background.name, seed)


def _blur(images: Images, sigma: float) -> Images:
    """Blurred along rows and columns, three sigmas far; beyond the edge, the image goes on as it ends there."""
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=images.dtype) / sigma) ** 2)
    weights = (weights / weights.sum()).view(1, 1, 1, -1)
    single = F.pad(images.flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(single, weights), weights.mT).view(images.shape)
