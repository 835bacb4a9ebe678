"""ImageSet: labelled images of one size, in memory; and Dataset: a training and a test set of the same classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from trojancam.errors import DataError
from trojancam.pictures import as_floats
from trojancam.rates import whole_numbers
from trojancam.showing import Brief
from trojancam.text import as_text

__all__ = ["Dataset", "ImageSet", "as_floats"]


def _bytes(given: object) -> UInt8[Tensor, "n 3 h w"]:
    """Images of a set as they are kept; those with the colours last are turned.

    Raises:
        DataError: if they are no bytes in colour.
    """
    try:
        images = torch.from_numpy(np.array(given)) if isinstance(given, np.ndarray) else given
    except TypeError:  # an array of objects
        images = None
    if not isinstance(images, Tensor):
        raise DataError(
            f"the images of a set are one tensor of bytes (n, 3, height, width), not a {type(given).__name__}; stack them"
        )
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        kind = str(images.dtype).removeprefix("torch.")
        exact = not images.is_floating_point()
        whole = "images.to(torch.uint8), or, of more than 8 bits, (images // 257).to(torch.uint8)"
        remedy = whole if exact else "(images * 255).round().to(torch.uint8), of images in [0, 1]"
        raise DataError(f"the images of a set are bytes, 0 to 255, not {kind}; convert them: {remedy}")
    if len(shape) == 4 and shape[1] != 3 and shape[3] == 3:
        return images.movedim(-1, 1).contiguous()
    if len(shape) != 4 or shape[1] != 3:
        raise DataError(
            f"the images of a set are of shape (n, 3, height, width), not {shape}; move their axes, or of grey ones repeat the "
            "channel: images.expand(-1, 3, -1, -1)"
        )
    return images


def _numbers(given: object) -> Int64[Tensor, " n"]:
    """Labels of a set as they are kept.

    Raises:
        DataError: if they are no whole numbers, one for each image.
    """
    labels = whole_numbers(given)
    if labels is None or (labels.ndim != 1 and labels.numel()):
        raise DataError(
            "the labels of a set are whole numbers, one for each image; of names take class_names.index(name), of one-hot "
            "labels labels.argmax(1)"
        )
    return labels.to(torch.int64)


@dataclass(frozen=True)
class ImageSet(Brief):
    """Labelled RGB images of one size.

    `images` are bytes (0-255), axes `n c h w` (`n h w c` and arrays become that); `regions` are the sign's box in pixels of
    these images, as x1, y1, x2, y2 (the last pixel inside); `tracks` number the physical signs: images of one track are near
    copies.
    `skipped` lists the files that could not be read, one line each; a selection of the images does not repeat it.

    Raises:
        DataError: if images, labels and what goes with them are not such, or not as many of each.
    """

    images: UInt8[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]
    class_names: tuple[str, ...]
    tracks: Int64[Tensor, " n"] | None = None
    regions: Float[Tensor, "n 4"] | None = None
    names: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", _bytes(self.images))
        object.__setattr__(self, "labels", _numbers(self.labels))
        for field in ("class_names", "names", "skipped"):  # they may come from files
            given = getattr(self, field)
            object.__setattr__(self, field, None if given is None else tuple(map(as_text, given)))
        counts = {"images": len(self.images), "labels": len(self.labels)}
        for field in ("tracks", "regions", "names"):
            value = getattr(self, field)
            if value is not None:
                counts[field] = len(value)
        if len(set(counts.values())) > 1:
            raise DataError(f"an image set needs as many labels as images, but got {counts}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise DataError(
                f"labels run from {int(self.labels.min())} to {int(self.labels.max())}, "
                f"but there are {len(self.class_names)} class names"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def select(self, indices: Int64[Tensor, " m"] | Sequence[int]) -> "ImageSet":
        """The images with these indices, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            tracks=None if self.tracks is None else self.tracks[chosen],
            regions=None if self.regions is None else self.regions[chosen],
            names=None if self.names is None else tuple(self.names[i] for i in chosen.tolist()),
            skipped=(),
        )

    def sample(self, count: int, seed: int = 0, *, spread: bool = False) -> "ImageSet":
        """`count` images drawn without replacement (all if there are fewer), the same ones for the same seed.

        With `spread`, classes take turns: each gets as many images as any other, as far as it has them.
        """
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        if spread:
            order = order[_ranks(self.labels[order]).argsort(stable=True)]
        return self.select(order[:count])

    def take(
        self, count: int, seed: int = 0, *, spread: bool = False
    ) -> tuple[Float[Tensor, "m 3 h w"], Int64[Tensor, " m"]]:
        """Images as `sample` draws them, as floats in [0, 1], and their labels: what `record` and `scan` take."""
        chosen = self.sample(count, seed, spread=spread)
        return as_floats(chosen.images), chosen.labels

    def split_by_track(self, fraction: float, seed: int = 0) -> tuple["ImageSet", "ImageSet"]:
        """Two sets that share no track; the second holds about `fraction` of each class's tracks (at least one of two).

        Frames of one track are near copies: a split by frame would test on what it trained on.

        Raises:
            DataError: if the set has no tracks, or `fraction` is not between 0 and 1.
        """
        if self.tracks is None:
            raise DataError("this image set has no track numbers; split it by image with select()")
        if not 0 < fraction < 1:
            raise DataError(f"the fraction of tracks to hold out must lie between 0 and 1, not {fraction}")
        generator = torch.Generator().manual_seed(seed)
        held_out = torch.zeros(len(self), dtype=torch.bool)
        for label in torch.unique(self.labels):
            tracks = torch.unique(self.tracks[self.labels == label])
            count = min(max(1, round(fraction * len(tracks))), len(tracks) - 1)
            chosen = tracks[torch.randperm(len(tracks), generator=generator)[:count]]
            held_out |= (self.labels == label) & torch.isin(self.tracks, chosen)
        return self.select((~held_out).nonzero()[:, 0]), self.select(held_out.nonzero()[:, 0])


@dataclass(frozen=True)
class Dataset:
    """A training and a test set of the same classes, and where they came from."""

    train: ImageSet
    test: ImageSet
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", as_text(self.source))

    @property
    def skipped(self) -> tuple[str, ...]:
        """The files that could not be read, one line each: file and reason."""
        return self.train.skipped + self.test.skipped


def _ranks(labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """How many images of the same class come before each.

    >>> _ranks(torch.tensor([4, 1, 4, 4, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    ranks = torch.zeros_like(labels)
    for label in labels.unique():
        own = labels == label
        ranks[own] = torch.arange(int(own.sum()))
    return ranks
