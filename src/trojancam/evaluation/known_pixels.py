"""Known pixels: drawn cells whose class hangs on pixels that are known, and how well each method's maps find these.

After Tjoa and Guan ("Quantifying explainability of saliency methods in deep neural networks with a synthetic dataset"), who draw
cells of three shapes, in three kinds each, and images without a cell: ten classes. The drawing here is another one, of the same
plan: the shape is round, square, or round with a tail; the kind is told by no, one or two bright spots inside. For each
image two masks are known: the cell as a whole, and the pixels that tell its kind or shape apart, its spots and its tail. A map
should lie in the cell, and the closer to what tells, the better.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy import ndimage
from torch import Tensor

from trojancam.attribution import METHODS, attribute
from trojancam.attribution.energy import energy_in_mask
from trojancam.errors import DataError
from trojancam.evaluation.localisation import roc_auc
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.showing import Brief, Named

SHAPES, SPOTS = ("round", "square", "tailed"), 3  # of 0, 1 or 2 spots
CLASS_NAMES = (*(f"{shape}, {spots} spots" for shape in SHAPES for spots in range(SPOTS)), "no cell")
NO_CELL = len(CLASS_NAMES) - 1
SMALLEST = 24  # pixels of a side

Canvas = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class KnownPixels(Brief):
    """Drawn images in [0, 1], their labels, and for each image the mask of its cell and of the pixels that tell its class.

    `telling` is empty where nothing but the shape of the body tells: a round or square cell without spots, or no cell.
    """

    images: Float[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]
    cells: Bool[Tensor, "n h w"]
    telling: Bool[Tensor, "n h w"]


@dataclass(frozen=True)
class PixelsFound(Brief):
    """How well maps find known pixels, means over the images that have some; `chance` is what an even map gets of energy.

    `energy` is the share of a map in the telling pixels, `in_cell` that in the cell; `auc` is that of the map as a score for the
    telling pixels.
    """

    energy: float
    in_cell: float
    auc: float
    chance: float
    chance_in_cell: float
    images: int


def drawn(count: int, size: int = 32, seed: int = 0) -> KnownPixels:
    """So many images of all ten classes in turn.

    Raises:
        DataError: if the images are too small for a cell with spots.

    >>> drawn(10).labels.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if size < SMALLEST:
        raise DataError(f"cells with spots need images of {SMALLEST} pixels or more, not {size}")
    found = [_image(number % len(CLASS_NAMES), size, np.random.default_rng((seed, number))) for number in range(count)]
    images, cells, telling = (torch.from_numpy(np.stack(each)) for each in zip(*found, strict=True))
    return KnownPixels(images, torch.arange(count, device="cpu") % len(CLASS_NAMES), cells, telling)


def pixels_found(
    network: Network,
    known: KnownPixels,
    methods: given.GivenNames = ("grad-cam",),
    layers: given.GivenNames | None = None,
    *,
    seed: int = 0,
) -> Named[Named[PixelsFound]]:
    """How well each method's maps of each layer find the telling pixels: `{method: {layer: ...}}`, as `attribute` has them.

    The maps explain the true class. Images without telling pixels, and those that the network gets wrong, do not count: of these
    nobody knows what the network looks at.

    Raises:
        UnknownNameError: if a method or layer does not exist.
        DataError: if the network takes other images, or gets none right.
        ModelError: if a method cannot work with the network.
    """
    counted = (network(known.images).argmax(1).cpu() == known.labels) & known.telling.flatten(1).any(1)
    if not bool(counted.any()):
        raise DataError("the network gets no image with known pixels right; train it on these images first")
    labels, telling, cells = known.labels[counted], known.telling[counted], known.cells[counted]
    found: dict[str, Named[PixelsFound]] = {}
    for name in given.names("attribution method", methods, METHODS):
        maps = attribute(network, known.images[counted], [name], logit(labels), layers, seed=seed)[name]
        by_layer = {layer: _scored(each.heatmap().cpu(), telling, cells) for layer, each in maps.items()}
        found[name] = Named("layer", by_layer)
    return Named("method", found)


def _scored(maps: Float[Tensor, "n h w"], telling: Bool[Tensor, "n h w"], cells: Bool[Tensor, "n h w"]) -> PixelsFound:
    ranked = torch.stack([roc_auc(each, mask) for each, mask in zip(maps, telling, strict=True)])
    return PixelsFound(
        float(energy_in_mask(maps, telling).nan_to_num(0).mean()),
        float(energy_in_mask(maps, cells).nan_to_num(0).mean()),
        float(ranked.mean()),
        float(telling.float().mean()),
        float(cells.float().mean()),
        len(maps),
    )


def _image(label: int, size: int, generator: np.random.Generator) -> tuple[Float[np.ndarray, "3 h w"], Canvas, Canvas]:
    """An image of a class, the mask of its cell, and of its spots and tail."""
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    ground = ndimage.gaussian_filter(generator.normal(size=(3, size, size)), (0, size / 8, size / 8))
    image = 0.35 + 0.1 * ground / np.abs(ground).max() + 0.02 * generator.normal(size=(3, size, size))
    empty = np.zeros((size, size), dtype=bool)
    if label == NO_CELL:
        return image.clip(0, 1).astype(np.float32), empty, empty
    shape, spots = divmod(label, SPOTS)
    radius = size * generator.uniform(0.2, 0.24)
    row, column = generator.uniform(1.15 * radius, size - 1 - 1.15 * radius, 2)
    down, across = rows - row, columns - column
    body = np.maximum(abs(down), abs(across)) <= 0.9 * radius if shape == 1 else down**2 + across**2 <= radius**2
    tail = _tail(down, across, radius, (row, column), size) & ~body if shape == 2 else empty
    marks = _spots(down, across, radius, spots, generator)
    cell = body | tail
    colour = generator.uniform(0.5, 0.7, 3)[:, None, None]
    image = np.where(cell, 0.25 * image + 0.75 * colour, image)
    image = np.where(marks, 0.95, image) + 0.01 * generator.normal(size=image.shape)
    return image.clip(0, 1).astype(np.float32), cell, marks | tail


def _tail(
    down: Float[np.ndarray, "h w"],
    across: Float[np.ndarray, "h w"],
    radius: float,
    centre: tuple[float, float],
    size: int,
) -> Canvas:
    """A bar that goes from the body towards the middle of the image, where there is room."""
    angle = np.arctan2(size / 2 - centre[0], size / 2 - centre[1])
    along = down * np.sin(angle) + across * np.cos(angle)
    beside = down * np.cos(angle) - across * np.sin(angle)
    bar: Canvas = (along > 0) & (along <= 2 * radius) & (abs(beside) <= max(1.0, 0.18 * radius))
    return bar


def _spots(
    down: Float[np.ndarray, "h w"],
    across: Float[np.ndarray, "h w"],
    radius: float,
    count: int,
    generator: np.random.Generator,
) -> Canvas:
    """So many bright disks well inside the body, two of them opposite to each other."""
    found = np.zeros(down.shape, dtype=bool)
    angle = generator.uniform(0, 2 * np.pi)
    for number in range(count):
        turned = angle + np.pi * number
        near = (down - 0.5 * radius * np.sin(turned)) ** 2 + (across - 0.5 * radius * np.cos(turned)) ** 2
        found |= near <= max(1.2, 0.2 * radius) ** 2
    return found
