"""Rendered data sets: every class equally often, in random order, in tracks that show one object each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError
from trojancam.progress import Progress
from trojancam.showing import Brief

SMALLEST_SIZE, LARGEST_SIZE = 16, 512
_CHUNK_PIXELS = 64 * 32 * 32  # rendered together: few enough to stay in the processor's cache
_FEWEST_TRACKS = 4  # so that a small set, too, can be split by track

Report = Callable[[int], None]
Render = Callable[[Int64[Tensor, " n"], Int64[Tensor, " n"], int, Report], ImageSet]
"""What renders images of these classes and tracks, from a seed."""


@dataclass(frozen=True)
class Kinds(Brief):
    """What a data set shows: so many classes of `what`, and about how many images of each track."""

    what: str
    classes: int
    per_track: int

    def tracks_per_class(self, count: int) -> int:
        """How many tracks of each class a set of `count` images has."""
        images = -(-count // self.classes)
        return max(-(-images // self.per_track), min(images, _FEWEST_TRACKS), 1)


def check_counts(train: int, test: int) -> None:
    """Refuse negative numbers of images.

    Raises:
        DataError: if one is negative.
    """
    for name, count in (("training", train), ("test", test)):
        if count < 0:
            raise DataError(f"the number of {name} images must not be negative, but it is {count}")


def check_drawing(size: int, seed: int) -> None:
    """Refuse what cannot be rendered.

    Raises:
        DataError: if the size or the seed is out of range.
    """
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise DataError(
            f"rendered images can be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels wide, not {size}; give others as images of your own"
        )
    if seed < 0:
        raise DataError(f"the seed must not be negative, but it is {seed}")


def check_labels(classes: Int64[Tensor, " n"], tracks: Int64[Tensor, " m"], count: int) -> None:
    """Refuse labels of other classes than there are, and tracks that are not one for each label.

    Raises:
        DataError: if it is so.
    """
    outside = classes[(classes < 0) | (classes >= count)]
    if len(outside):
        raise DataError(f"labels must lie between 0 and {count - 1}, but one is {int(outside[0])}")
    if len(tracks) != len(classes):
        raise DataError(f"there must be as many track numbers as labels, but got {len(tracks)} for {len(classes)}")


def train_and_test(
    train: int, test: int, kinds: Kinds, seed: int, render: Render, progress: Progress
) -> tuple[ImageSet, ImageSet]:
    """A training and a test set of other tracks."""
    seed_train, seed_test = np.random.SeedSequence(seed).generate_state(2).tolist()
    total = train + test
    training = _balanced_set(
        train, kinds, seed_train, render, lambda done: progress(done, total, f"rendering training {kinds.what}")
    )
    testing = _balanced_set(
        test, kinds, seed_test, render, lambda done: progress(train + done, total, f"rendering test {kinds.what}")
    )
    own = kinds.classes * kinds.tracks_per_class(train)
    return training, replace(testing, tracks=torch.as_tensor(testing.tracks) + own)


def in_chunks(
    count: int, size: int, draw: Callable[[slice], tuple[Tensor, Tensor]], report: Report
) -> tuple[UInt8[Tensor, "n 3 size size"], Float[Tensor, "n 4"]]:
    """Images and their regions, of which `draw` makes as many at a time as need little memory."""
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    regions = torch.empty(count, 4)
    chunk = max(1, _CHUNK_PIXELS // size**2)
    with _one_thread():
        for start in range(0, count, chunk):
            part = slice(start, start + chunk)
            images[part], regions[part] = draw(part)
            report(min(start + chunk, count))
    return images, regions


def _balanced_set(count: int, kinds: Kinds, seed: int, render: Render, report: Report) -> ImageSet:
    """`count` images with equally many of each class and track, shuffled."""
    place = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    labels, turn = place % kinds.classes, place // kinds.classes
    per_class = kinds.tracks_per_class(count)
    return render(labels, labels * per_class + turn % per_class, seed, report)


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
