"""Perturbation: pixels are removed in the order of a heat map, and the network is asked again; what ROAD and RISE share.

Pixels are removed by exact counts: they are ranked, ties in a seeded random order. A threshold at a percentile instead
removes every tied pixel at once: nearly the whole image, where a map is zero almost everywhere.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network.network import Network
from trojancam.network.targets import Target
from trojancam.progress import Progress

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n h w"]
Ranks = Int64[Tensor, "n h w"]

Variants = Callable[[slice, slice], Float[Tensor, "b v 3 h w"]]
"""Some of the perturbed versions of some of the images."""

MEMORY_BUDGET = 256 * 2**20
IMAGES_AT_ONCE = 256  # more in one batch do not run faster


def check_maps(network: Network, images: Images, maps: Maps) -> None:
    """Refuse images that the network would misread, and maps that do not belong to them.

    Raises:
        ModelError: if the images are of another size or range than the network takes.
        DataError: if there are no images, or maps of another number or size, or a map is not finite.
    """
    network.check(images)
    if len(images) == 0:
        raise DataError("there are no images to perturb; give at least one")
    if tuple(maps.shape) != (len(images), *images.shape[2:]):
        raise DataError(
            f"{len(images)} images of {tuple(images.shape[2:])} pixels need as many heat maps of that size, "
            f"but these are of shape {tuple(maps.shape)}"
        )
    finite = maps.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        index = int(finite.logical_not().nonzero()[0])
        raise DataError(f"the heat map of image {index} is not finite; look for NaN or infinity in what made it")


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
    at_once = _images_at_once(network, memory_budget)
    clean = torch.cat([_logits(network, part) for part in images.split(at_once)])
    perturbed = clean.new_empty(len(images), count, clean.shape[1])
    step = max(1, at_once // count)
    for first in range(0, len(images), step):
        rows = slice(first, min(first + step, len(images)))
        for start in range(0, count, at_once):
            columns = slice(start, min(start + at_once, count))
            made = variants(rows, columns)
            perturbed[rows, columns] = _logits(network, made.flatten(0, 1)).view(*made.shape[:2], -1)
        progress(rows.stop, len(images), "images perturbed")
    target = target.settled(clean)
    return target(clean), torch.stack([target(logits) for logits in perturbed.unbind(1)], 1)


def pixel_counts(shares: Sequence[float], pixels: int) -> Int64[Tensor, " v"]:
    """How many of the pixels these shares are, each rounded to the nearest number."""
    return torch.tensor([round(share * pixels) for share in shares], dtype=torch.int64)


def _logits(network: Network, images: Images) -> Float[Tensor, "n classes"]:
    """Logits without the check of the range: noise may lead a little out of it."""
    with torch.no_grad():
        return network.forward_with(network.input.normalise(images), ())[0]


def _images_at_once(network: Network, memory_budget: int) -> int:
    """How many images fit: each holds about three of the largest layer's activations, and six copies of itself."""
    height, width = network.input.size
    largest = max(layer.feature_maps * layer.size[0] * layer.size[1] for layer in network.layers.values())
    return int(min(max(memory_budget // (4 * (3 * largest + 6 * 3 * height * width)), 1), IMAGES_AT_ONCE))
