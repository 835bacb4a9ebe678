"""Rendered traffic signs: a data set with all 43 classes of GTSRB that needs no file and no download."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.rendered.backgrounds import BACKGROUNDS, TEXTURE_SIZE, TEXTURES_PER_KIND, texture
from trojancam.data.rendered.camera import photograph, sign_regions
from trojancam.data.rendered.scenes import dirt_bank, draw_kinds, draw_shots, grain_bank
from trojancam.errors import DataError, unknown_name
from trojancam.progress import Progress, silent

RENDERED = "rendered signs"  # how the source of this data set begins
SMALLEST_SIZE, LARGEST_SIZE = 16, 512
_CLASSES = len(GTSRB_CLASS_NAMES)
_CHUNK_PIXELS = 64 * 32 * 32  # rendered together: few enough to stay in the processor's cache
_TRACK_LENGTH = 10
_FEWEST_TRACKS = 4  # so that a small set, too, can be split by track


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
    for name, count in (("training", train), ("test", test)):
        if count < 0:
            raise DataError(f"the number of {name} images must not be negative, but it is {count}")
    _check(size, seed)
    seed_train, seed_test = np.random.SeedSequence(seed).generate_state(2).tolist()
    total = train + test
    training = _balanced_set(train, seed_train, size, lambda done: progress(done, total, "rendering training signs"))
    testing = _balanced_set(test, seed_test, size, lambda done: progress(train + done, total, "rendering test signs"))
    further = replace(testing, tracks=torch.as_tensor(testing.tracks) + _CLASSES * _tracks_per_class(train))
    return Dataset(training, further, f"{RENDERED}, seed {seed}")


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
    _check(size, seed)
    classes = _integers(labels)
    outside = classes[(classes < 0) | (classes >= _CLASSES)]
    if len(outside):
        raise DataError(f"labels must lie between 0 and {_CLASSES - 1}, but one is {int(outside[0])}")
    signs = torch.arange(len(classes)) if tracks is None else _integers(tracks)
    if len(signs) != len(classes):
        raise DataError(f"there must be as many track numbers as labels, but got {len(signs)} for {len(classes)}")
    kinds = draw_kinds(signs, seed, len(BACKGROUNDS)) if background is None else _kinds(background, len(classes))
    return _render(
        classes, signs, kinds, seed, size, report=lambda done: progress(done, len(classes), "rendering signs")
    )


def _balanced_set(count: int, seed: int, size: int, report: Callable[[int], None]) -> ImageSet:
    """`count` images with equally many of each class and track, shuffled."""
    place = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    labels, turn = place % _CLASSES, place // _CLASSES
    per_class = _tracks_per_class(count)
    tracks = labels * per_class + turn % per_class
    kinds = draw_kinds(tracks, seed, len(BACKGROUNDS))
    return _render(labels, tracks, kinds, seed, size, report=report)


def _tracks_per_class(count: int) -> int:
    """How many signs of each class a set of `count` images shows."""
    images = -(-count // _CLASSES)
    return max(-(-images // _TRACK_LENGTH), min(images, _FEWEST_TRACKS), 1)


def _render(
    labels: Int64[Tensor, " n"],
    tracks: Int64[Tensor, " n"],
    kinds: Int64[np.ndarray, " n"],
    seed: int,
    size: int,
    *,
    report: Callable[[int], None],
) -> ImageSet:
    """Draw everything at random first, then take the photographs in chunks that need little memory."""
    shots = draw_shots(tracks, seed)
    textures, texture_of_image = _textures(kinds, shots.backdrop.numpy(), seed)
    dirt, grain = dirt_bank(seed), grain_bank(seed, 12 * size * size + (1 << 17))
    images = torch.empty(len(labels), 3, size, size, dtype=torch.uint8)
    regions = torch.empty(len(labels), 4)
    chunk = max(1, _CHUNK_PIXELS // size**2)
    with _one_thread():
        for start in range(0, len(labels), chunk):
            part = slice(start, start + chunk)
            some = shots.rows(part)
            images[part] = photograph(some, labels[part], textures[texture_of_image[part]], dirt, grain, size=size)
            regions[part] = sign_regions(some, labels[part], size)
            report(min(start + chunk, len(labels)))
    return ImageSet(images, labels, GTSRB_CLASS_NAMES, tracks, regions)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch use one thread for a while.

    A chunk's steps are so short that threads mostly wait for each other: where other work keeps the cores busy, two
    threads took 15 times as long as one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def _check(size: int, seed: int) -> None:
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise DataError(f"images can be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels wide, not {size}")
    if seed < 0:
        raise DataError(f"the seed must not be negative, but it is {seed}")
