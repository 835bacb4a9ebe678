"""ROAD, "remove and debias": does the score fall when the pixels that a heat map calls relevant go, and hold when they stay?

Removed pixels are imputed from their neighbours, so that neither a hole nor its shape tells the network anything
(Rong et al., "A consistent and efficient evaluation strategy for attribution methods", arXiv 2202.00449).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attribution.attribution import GivenMaps
from trojancam.errors import DataError
from trojancam.evaluation.imputation import imputed
from trojancam.evaluation.perturbation import (
    Images,
    Ranks,
    generator,
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

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
NOISE = 0.01


@dataclass(frozen=True)
class RoadScores(Brief):
    """Each image's scores with its most (`morf`) and its least (`lerf`) relevant pixels removed, by percentile removed.

    `clean` are the scores of the whole images, `target` says of what, and `seed` decided ties and noise.
    """

    percentiles: tuple[float, ...]
    clean: Float[Tensor, " n"]
    morf: Float[Tensor, "n p"]
    lerf: Float[Tensor, "n p"]
    target: str
    seed: int

    @property
    def combined(self) -> Float[Tensor, " n"]:
        """`(mean_p LeRF_p - mean_p MoRF_p) / 2`: the higher, the more faithful; around 0 for a random map."""
        return (self.lerf.mean(1) - self.morf.mean(1)) / 2


def road(
    network: Network,
    images: given.GivenImages,
    heatmaps: GivenMaps,
    target: given.GivenTarget = None,
    percentiles: Sequence[int | float] = PERCENTILES,
    *,
    seed: int = 0,
    first_image: int = 0,
    memory_budget: int = BUDGET,
    progress: Progress = silent,
) -> RoadScores:
    """Scores of images as p % of their pixels are removed, the most relevant first and the least relevant first.

    A removed pixel becomes the weighted mean of its neighbours (`imputation.imputed`) and noise of `N(0, 0.01^2)`, the same
    for one image at every percentile (arXiv 2202.00449). Exactly p % go, to the nearest pixel; among tied pixels, as in a
    blank map, chance decides. `heatmaps` are an attribution's, or any `n h w`. The score is the probability of the class
    predicted for the whole image, of a class by number or name, or another `target`. Ties and noise depend on the seed and
    on the image's index, counted from `first_image`: images in batches give what they give at once. `memory_budget` is in
    bytes.

    Raises:
        DataError: if the network cannot take the images, maps do not match them or are not finite, or a percentile does not
            lie between 0 and 100 or leaves no pixel.
        UnknownNameError: if the network does not have the target's class.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> scores = road(network, torch.rand(5, 3, 8, 8), torch.rand(5, 8, 8))
    >>> scores.morf.shape, scores.combined.shape
    (torch.Size([5, 9]), torch.Size([5]))
    """
    whole, maps = images_and_maps(network, images, heatmaps)
    whole, maps = whole.cpu(), maps.cpu()  # only the network computes elsewhere
    score = given.target(network, target, probability)
    counts = _counts(percentiles, maps[0].numel())
    ranks = ranked(maps, seed, first_image)
    noise = _noise(whole, seed, first_image)

    def variants(rows: slice, columns: slice) -> Float[Tensor, "b v 3 h w"]:
        removed = _removed(ranks[rows], counts)[:, columns]
        repeated = whole[rows, None].expand(-1, removed.shape[1], -1, -1, -1)
        filled = imputed(repeated.flatten(0, 1), removed.flatten(0, 1)).view(repeated.shape)
        return filled.addcmul_(noise[rows, None].expand_as(filled), removed[:, :, None].to(filled.dtype))

    clean, scores = perturbed_scores(network, whole, variants, 2 * len(counts), score, memory_budget, progress)
    morf, lerf = scores.chunk(2, 1)
    return RoadScores(tuple(float(p) for p in percentiles), clean, morf, lerf, score.name, seed)


def _counts(percentiles: Sequence[int | float], pixels: int) -> Int64[Tensor, " p"]:
    """How many pixels go at each percentile."""
    if not percentiles:
        raise DataError("there are no percentiles; give at least one")
    for percentile in percentiles:
        if not 0 < percentile < 100:
            raise DataError(f"percentiles must lie between 0 and 100, not at {percentile}")
    counts = pixel_counts([percentile / 100 for percentile in percentiles], pixels)
    if int(counts.max()) == pixels:
        raise DataError(f"removing {max(percentiles)} % of {pixels} pixels leaves none; remove fewer")
    return counts


def _removed(ranks: Ranks, counts: Int64[Tensor, " p"]) -> Bool[Tensor, "n v h w"]:
    """The pixels that each version lacks: the most relevant ones, count by count, and then the least relevant ones."""
    pixels = ranks[0].numel()
    most, least = ranks[:, None], pixels - 1 - ranks[:, None]
    return torch.cat([most < counts[:, None, None], least < counts[:, None, None]], 1)


def _noise(images: Images, seed: int, first_image: int) -> Images:
    """Noise for every pixel of each image."""
    shape = tuple(images.shape[1:])
    drawn = (generator(seed, first_image + i, "noise").standard_normal(shape) for i in range(len(images)))
    return torch.stack([torch.from_numpy(values) for values in drawn]).to(images.dtype) * NOISE
