"""Perturbation: pixels are removed in the order of a heat map, and the network is asked again; what ROAD and RISE share.

Pixels are removed by exact counts: they are ranked, ties in a seeded random order. A threshold at a percentile instead
removes every tied pixel at once: nearly the whole image, where a map is zero almost everywhere.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attribution.attribution import GivenMaps, heatmaps_of
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.batches import check_budget, parts
from trojancam.network.network import Network
from trojancam.network.targets import Target
from trojancam.progress import Progress

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n h w"]
Ranks = Int64[Tensor, "n h w"]

Variants = Callable[[slice, slice], Float[Tensor, "b v 3 h w"]]
"""Some of the perturbed versions of some of the images."""

COPIES = 6  # of an image, that perturbing one takes


def images_and_maps(network: Network, given_images: given.GivenImages, given_maps: GivenMaps) -> tuple[Images, Maps]:
    """Images for the network and their heat maps: those of an attribution, or any maps `n h w`.

    Raises:
        DataError: if the network cannot take the images, or the maps are of another number or size, or not finite.
    """
    images = given.images(network, given_images)
    maps = heatmaps_of(given_maps)
    if tuple(maps.shape) != (len(images), *images.shape[2:]):
        height, width = network.input.size
        raise DataError(
            f"{len(images)} images of {height}x{width} pixels need as many heat maps of that size, but these are of shape "
            f"{tuple(maps.shape)}; give an attribution, or its heatmap()"
        )
    finite = maps.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        index = int(finite.logical_not().nonzero()[0])
        raise DataError(f"the heat map of image {index} is not finite; look for NaN or infinity in what made it")
    return images, maps


def ranked(maps: Maps, seed: int = 0, first_image: int = 0) -> Ranks:
    """Each pixel's rank in its map, 0 the most relevant; tied pixels are in a random order, which the seed decides.

    The order also depends on the image's index, counted from `first_image`, but not on the other images.

    >>> ranked(torch.tensor([[[0.1, 0.7], [0.5, 0.2]]]))
    tensor([[[3, 0],
             [1, 2]]])
    """
    n, pixels = len(maps), maps[0].numel() if len(maps) else 0
    shuffles = [generator(seed, first_image + image, "ties").permutation(pixels) for image in range(n)]
    shuffled = torch.from_numpy(np.array(shuffles, dtype=np.int64).reshape(n, pixels))
    values = maps.detach().reshape(n, pixels).gather(1, shuffled)
    order = shuffled.gather(1, values.argsort(dim=1, descending=True, stable=True))
    return torch.empty_like(order).scatter_(1, order, torch.arange(pixels).expand(n, pixels)).view(maps.shape)


def generator(seed: int, image: int, purpose: str) -> np.random.Generator:
    """Random numbers for one image and one purpose, the same whichever other images there are.

    Raises:
        DataError: if the seed or the image's index is negative.
    """
    if seed < 0 or image < 0:
        raise DataError(f"a seed and the index of an image must not be negative, as {seed} or {image} is")
    return np.random.default_rng([seed, image, *purpose.encode()])


def perturbed_scores(
    network: Network,
    images: Images,
    variants: Variants,
    count: int,
    target: Target,
    memory_budget: int,
    progress: Progress,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n v"]]:
    """The scores of the images, and of `count` perturbed versions of each; one forward run for each version.

    The predicted class, where the target asks for it, is that of the unperturbed image.
    """
    check_budget(memory_budget)
    at_once = network.rows(memory_budget, beside=COPIES * images[0].nbytes)
    clean = torch.cat([_logits(network, part) for part in images.split(at_once)])
    target = target.settled(clean)
    scores = target(clean)
    perturbed = scores.new_empty(len(images), count)
    for rows in parts(len(images), max(1, at_once // count)):
        for columns in parts(count, at_once):
            made = variants(rows, columns)
            image = torch.arange(rows.start, rows.stop, device=images.device).repeat_interleave(made.shape[1])
            found = target.of(image, len(images))(_logits(network, made.flatten(0, 1)))
            perturbed[rows, columns] = found.view(made.shape[:2])
        progress(rows.stop, len(images), "images perturbed")
    return scores, perturbed


def pixel_counts(shares: Sequence[float], pixels: int) -> Int64[Tensor, " v"]:
    """How many of the pixels these shares are, each rounded to the nearest number."""
    return torch.tensor([round(share * pixels) for share in shares], dtype=torch.int64)


def _logits(network: Network, images: Images) -> Float[Tensor, "n classes"]:
    """Logits on the processor, without the check of the range: noise may lead a little out of it."""
    with torch.no_grad():
        return network.forward_with(network.inputs(images), ())[0].cpu()
