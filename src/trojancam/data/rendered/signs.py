"""Rendered traffic signs: a data set with all 43 classes of GTSRB that needs no file and no download."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.rendered.backgrounds import BACKGROUNDS, TEXTURE_SIZE, TEXTURES_PER_KIND, texture
from trojancam.data.rendered.balanced import (
    Kinds,
    Report,
    check_counts,
    check_drawing,
    check_labels,
    in_chunks,
    train_and_test,
)
from trojancam.data.rendered.camera import boxes, photograph
from trojancam.data.rendered.scenes import dirt_bank, draw_kinds, draw_shots, grain_bank
from trojancam.data.rendered.templates import sign_outlines, sign_templates
from trojancam.errors import DataError, unknown_name
from trojancam.progress import Progress, silent

RENDERED = "rendered signs"  # how the source of this data set begins
_CLASSES = len(GTSRB_CLASS_NAMES)
_KINDS = Kinds("signs", _CLASSES, per_track=10)


def rendered_signs(
    train: int = 16_000, test: int = 4_000, size: int = 32, seed: int = 0, progress: Progress = silent
) -> Dataset:
    """A training and a test set of signs of our own, every class equally often, in random order.

    A track is one sign: about ten images (fewer in a small set) share its background, wear and light, and differ in
    distance and sharpness, as the frames of a film do. The test set shows other signs, under other track numbers.

    Raises:
        DataError: if a number of images is negative, or `size` or `seed` is out of range.

    >>> dataset = rendered_signs(train=86, test=43)
    >>> dataset.train.images.shape, len(dataset.test.labels.unique())
    (torch.Size([86, 3, 32, 32]), 43)
    """
    check_counts(train, test)
    check_drawing(size, seed)
    render = partial(_anywhere, size)
    sets = train_and_test(train, test, _KINDS, seed, render, progress)
    return Dataset(*sets, f"{RENDERED}, seed {seed}")


def render_images(
    labels: Int64[Tensor, " n"] | Sequence[int],
    seed: int = 0,
    size: int = 32,
    *,
    background: str | Sequence[str] | None = None,
    tracks: Int64[Tensor, " n"] | Sequence[int] | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """One image of each of these classes, in this order; each shows a sign of its own unless `tracks` says otherwise.

    `background` is "urban", "rural", "road" or "sky", or one of these per image; without it each sign draws one. It
    changes nothing else: the same labels and seed give the same signs, in the same place, light and blur. The first
    images do not depend on how many follow.

    Raises:
        DataError: if a label is not a class of GTSRB, lists differ in length, or `size` or `seed` is out of range.
        UnknownNameError: if there is no such background.

    >>> town, country = (render_images([14, 14, 25], seed=1, background=kind) for kind in ("urban", "rural"))
    >>> torch.equal(town.regions, country.regions), torch.equal(town.images, country.images)
    (True, False)
    """
    check_drawing(size, seed)
    classes = _integers(labels)
    signs = torch.arange(len(classes)) if tracks is None else _integers(tracks)
    check_labels(classes, signs, _CLASSES)
    kinds = draw_kinds(signs, seed, len(BACKGROUNDS)) if background is None else _kinds(background, len(classes))
    return _render(
        classes, signs, kinds, seed, size, report=lambda done: progress(done, len(classes), "rendering signs")
    )


def _anywhere(
    size: int, labels: Int64[Tensor, " n"], tracks: Int64[Tensor, " n"], seed: int, report: Report
) -> ImageSet:
    return _render(labels, tracks, draw_kinds(tracks, seed, len(BACKGROUNDS)), seed, size, report=report)


def _render(
    labels: Int64[Tensor, " n"],
    tracks: Int64[Tensor, " n"],
    kinds: Int64[np.ndarray, " n"],
    seed: int,
    size: int,
    *,
    report: Report,
) -> ImageSet:
    """Draw everything at random first, then take the photographs in chunks that need little memory."""
    shots = draw_shots(tracks, seed)
    textures, texture_of_image = _textures(kinds, shots.backdrop.numpy(), seed)
    dirt, grain = dirt_bank(seed), grain_bank(seed, 12 * size * size + (1 << 17))
    outlines = torch.from_numpy(sign_outlines()).to(torch.float32)

    def draw(part: slice) -> tuple[Tensor, Tensor]:
        some, signs = shots.rows(part), sign_templates(2 * size)[labels[part]]
        pixels = photograph(some, signs, textures[texture_of_image[part]], dirt, grain, size=size)
        return pixels, boxes(some, outlines[labels[part]], size)

    images, regions = in_chunks(len(labels), size, draw, report)
    return ImageSet(images, labels, GTSRB_CLASS_NAMES, tracks, regions)


def _textures(
    kinds: Int64[np.ndarray, " n"], choice: np.ndarray, seed: int
) -> tuple[UInt8[Tensor, "m 3 t t"], Int64[Tensor, " n"]]:
    """The textures that are used, each drawn once, and which of them each image has."""
    numbers = kinds * TEXTURES_PER_KIND + (choice * TEXTURES_PER_KIND).astype(np.int64)
    used, texture_of_image = np.unique(numbers, return_inverse=True)
    drawn = np.empty((len(used), 3, TEXTURE_SIZE, TEXTURE_SIZE), np.uint8)
    for row, number in enumerate(used.tolist()):
        drawn[row] = texture(BACKGROUNDS[number // TEXTURES_PER_KIND], number % TEXTURES_PER_KIND, seed)
    return torch.from_numpy(drawn), torch.from_numpy(texture_of_image)


def _kinds(background: str | Sequence[str], count: int) -> Int64[np.ndarray, " n"]:
    names = [background] * count if isinstance(background, str) else list(background)
    if len(names) != count:
        raise DataError(f"there must be one background, or one per label, but got {len(names)} for {count}")
    for name in {background} if isinstance(background, str) else set(names):
        if name not in BACKGROUNDS:
            raise unknown_name("background", name, BACKGROUNDS)
    return np.array([BACKGROUNDS.index(name) for name in names], dtype=np.int64)


def _integers(values: Int64[Tensor, " n"] | Sequence[int]) -> Int64[Tensor, " n"]:
    return torch.as_tensor(values, dtype=torch.int64)
