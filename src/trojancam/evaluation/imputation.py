"""Imputation: what a removed pixel would be, going by what is left around it; ROAD's linear interpolation.

Each removed pixel is a weighted mean of its eight neighbours, `(sum_n w_n) x_i = sum_n w_n x_n`, where `w` is 1/6 for a
neighbour beside, above or below, 1/12 for one across a corner, and nothing for one outside the image; removed neighbours
are unknowns themselves (ROAD, Rong et al., arXiv 2202.00449). The weights are symmetric, so the system is a block of a
graph's Laplacian: positive definite, and banded when pixels are numbered along the shorter side of the image. It is
solved exactly in float64, by LAPACK's banded Cholesky factorisation; the matrices of many images are set up together.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.linalg.lapack import dpbsv
from torch import Tensor

from trojancam.errors import DataError

Images = Float[Tensor, "n c h w"]
Removed = Bool[Tensor, "n h w"]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

AFTER = ((0, 1, 1 / 6), (1, -1, 1 / 12), (1, 0, 1 / 6), (1, 1, 1 / 12))  # row, column, weight; the others mirror these
MEMORY = 2 * 2**20  # of the matrices that one thread sets up together: about what a core's cache holds


def imputed(images: Images, removed: Removed) -> Images:
    """The images with their removed pixels filled in from the pixels that are left, without noise.

    Every channel is filled in by itself. For p removed pixels in rows of w (columns, if they are shorter), an image takes
    about `p w^2` operations and `8 p w` bytes; images are shared out over torch's threads.

    Raises:
        DataError: if images and removed pixels do not match, or if no pixel of an image is left.

    >>> image = torch.tensor([[[[0.0, 0.9, 0.5]]]])
    >>> imputed(image, torch.tensor([[[False, True, False]]]))[0, 0]
    tensor([[0.0000, 0.2500, 0.5000]])
    """
    _check(images, removed)
    upright = images.shape[2] >= images.shape[3]
    filled = (images if upright else images.mT).detach().clone(memory_format=torch.contiguous_format).numpy()
    missing = (removed if upright else removed.mT).contiguous().numpy()
    blocks = list(_blocks(missing))
    with ThreadPoolExecutor(max(1, min(torch.get_num_threads(), len(blocks)))) as pool:
        list(pool.map(partial(_fill, filled, missing), blocks))
    return torch.from_numpy(filled) if upright else torch.from_numpy(filled).mT.contiguous()


def _check(images: Images, removed: Removed) -> None:
    if (len(images), *images.shape[2:]) != tuple(removed.shape):
        raise DataError(
            f"{len(images)} images of {tuple(images.shape[2:])} pixels do not match {len(removed)} sets of removed "
            f"pixels of {tuple(removed.shape[1:])}"
        )
    empty = removed.flatten(1).all(1).nonzero()
    if len(empty):
        raise DataError(
            f"every pixel of image {int(empty[0])} is removed, so nothing is left to fill it in from; remove fewer"
        )


def _blocks(missing: Booleans) -> Iterator[Integers]:
    """The images from which any pixel is missing, in groups whose matrices fit into the memory together."""
    needed = 8 * missing.sum((1, 2)) * (missing.shape[2] + 2)
    group: list[int] = []
    memory = 0
    for image in np.flatnonzero(needed).tolist():
        if group and memory + needed[image] > MEMORY:
            yield np.array(group)
            group, memory = [], 0
        group.append(image)
        memory += needed[image]
    if group:
        yield np.array(group)


def _fill(images: NDArray[Any], missing: Booleans, group: Integers) -> None:
    """Write the solutions for some images, from each of which some pixel is missing, into them."""
    removed = missing[group]
    image, row, column = removed.nonzero()
    right = _right_hand_sides(images[group], removed)[image, :, row, column]
    solved = np.empty_like(right)
    start = 0
    for matrix in _matrices(removed):
        end = start + matrix.shape[1]
        _, solved[start:end], failed = dpbsv(matrix, right[start:end], lower=1, overwrite_ab=1)
        assert not failed, "the system is positive definite as long as a pixel is left"
        start = end
    images[group[image], :, row, column] = solved


def _right_hand_sides(images: NDArray[Any], removed: Booleans) -> Doubles:
    """What the known neighbours contribute to each removed pixel (and, of no use, to the others)."""
    known = np.zeros((*images.shape[:2], images.shape[2] + 2, images.shape[3] + 2))
    np.copyto(known[..., 1:-1, 1:-1], images, where=~removed[:, None])
    return _weighted(known)


def _matrices(removed: Booleans) -> list[Doubles]:
    """The matrix of each image in LAPACK's lower band storage: row d, column i holds the entry (i + d, i).

    All of them lie in one array, which is filled for all images at once. Removed pixels are numbered through, so the
    distance d of two neighbours is the number of removed pixels from one to the other, a row's width at most.
    """
    counts = removed.sum((1, 2))
    starts = counts.cumsum() - counts
    distances = _distances(removed)
    heights = np.maximum.reduceat(np.max(distances, axis=0), starts) + 1
    sizes = counts * heights
    origins = sizes.cumsum() - sizes
    diagonal = np.repeat(origins - starts * heights, counts) + np.arange(counts.sum()) * np.repeat(heights, counts)
    values = np.zeros(sizes.sum())
    for distance, (_, _, weight) in zip(distances, AFTER, strict=True):
        values[diagonal + distance] = -weight
    values[diagonal] = np.tile(_degrees(removed.shape[1:]), (len(removed), 1, 1))[removed]
    return [
        values[origin : origin + size].reshape(-1, height).T
        for origin, size, height in zip(origins, sizes, heights, strict=True)
    ]


def _distances(removed: Booleans) -> list[Integers]:
    """How much further on the neighbours after each removed pixel are numbered; 0 where the neighbour is not removed."""
    _, height, width = removed.shape
    numbers = np.zeros((len(removed), height + 1, width + 2), np.int64)
    places = np.flatnonzero(np.pad(removed, ((0, 0), (0, 1), (1, 1))))
    own = np.arange(len(places))
    numbers.ravel()[places] = own
    return [np.maximum(numbers.ravel()[places + down * (width + 2) + right] - own, 0) for down, right, _ in AFTER]


def _degrees(size: tuple[int, ...]) -> Doubles:
    """The sum of the weights of each pixel's neighbours in the image."""
    degrees: Doubles = _weighted(np.pad(np.ones(size), 1)) - 4 / 12
    return degrees


def _weighted(padded: Doubles) -> Doubles:
    """Each pixel's `sum_n w_n x_n`, and 4/12 of itself: [1 2 1] along columns and rows, over 12."""
    rows = padded[..., :-2, :] + padded[..., 2:, :]
    rows += 2 * padded[..., 1:-1, :]
    weighted: Doubles = rows[..., :-2] + rows[..., 2:]
    weighted += 2 * rows[..., 1:-1]
    weighted /= 12
    return weighted
