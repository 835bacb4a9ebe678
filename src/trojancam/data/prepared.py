"""GTSRB as two NumPy archives, `*-train.npz` and `*-test.npz`: all images already resized, read in a second.

Keys: `images` uint8 n,h,w,3; `labels`; and if known `tracks` (number of the physical sign within its class) and `roi`
(width, height, x1, y1, x2, y2 in pixels of the original images).
"""

import itertools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image

from trojancam.data.framing import Frame
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import ImageSet
from trojancam.data.regions import first_bad_region, scaled_regions, whole_regions
from trojancam.errors import DataError
from trojancam.progress import Progress, silent

Array = Shaped[np.ndarray, "..."]

TRACKS_PER_CLASS = 100_000
"""A track's number is class * 100,000 + its number within the class: file names give it five digits."""

REPORT_EVERY = 256


@dataclass(frozen=True)
class PreparedFiles:
    """A training and a test archive."""

    train: Path
    test: Path

    def fingerprint(self, training: bool = True) -> list[tuple[str, int, int]]:
        """What changes when the files do, with or without those of the training set: name, bytes and time of writing."""
        files = (self.train, self.test) if training else (self.test,)
        return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]

    def read(
        self, shown: Frame, crop: bool, progress: Progress = silent, training: bool = True
    ) -> tuple[ImageSet, ImageSet]:
        """The training set, empty where it is not wanted, and the test set."""
        train = read_archive(self.train, shown, crop, progress) if training else None
        test = read_archive(self.test, shown, crop, progress)
        return train or test.select(()), test

    def needs_work(self, shown: Frame, crop: bool) -> bool:
        """Whether reading means resizing every image, which is worth keeping the result."""
        shape = _stored_shape(self.train)
        return crop or shape is None or shape[1:3] != shown.size or shown.share != 1


def read_archive(path: Path, shown: Frame, crop: bool, progress: Progress = silent) -> ImageSet:
    """The images and labels of one archive, in this frame.

    Raises:
        DataError: if it is damaged, would have to run code to be read, or its arrays do not fit together.
    """
    arrays = _arrays(path)
    _check(path, arrays, crop)
    pixels, roi = arrays["images"], arrays.get("roi")
    regions = None if roi is None else shown.regions(scaled_regions(roi, *shown.whole))
    if crop and roi is not None:
        regions = whole_regions(len(pixels), *shown.size)
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    tracks = None
    if "tracks" in arrays:
        tracks = labels * TRACKS_PER_CLASS + torch.from_numpy(arrays["tracks"].astype(np.int64))
    framed = resized(pixels, roi if crop else None, shown, progress, f"resizing {path.name}")
    images = torch.from_numpy(framed).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, labels, GTSRB_CLASS_NAMES, tracks=tracks, regions=regions)


def resized(
    pixels: UInt8[np.ndarray, "n a b 3"], roi: Array | None, shown: Frame, progress: Progress, note: str
) -> UInt8[np.ndarray, "n h w 3"]:
    """Images, or their parts in boxes, in a frame."""
    height, width = pixels.shape[1:3]
    if roi is None and (height, width) == shown.whole == shown.size:
        return pixels
    boxes = itertools.repeat(None, len(pixels)) if roi is None else _boxes(roi, height, width)
    result = np.empty((len(pixels), *shown.size, 3), dtype=np.uint8)
    for i, (image, box) in enumerate(zip(pixels, boxes, strict=True)):
        result[i] = np.asarray(shown.cut(Image.fromarray(image), box))
        if (i + 1) % REPORT_EVERY == 0 or i + 1 == len(pixels):
            progress(i + 1, len(pixels), note)
    return result


def _boxes(roi: Array, height: int, width: int) -> list[tuple[float, float, float, float]]:
    """What to cut out: left, top, right, bottom on the ruler, kept inside the image against rounding."""
    regions = scaled_regions(roi, height, width).numpy()
    regions[:, 2:] += 1
    return [(box[0], box[1], box[2], box[3]) for box in regions.clip(0, [width, height, width, height]).tolist()]


def _arrays(path: Path) -> dict[str, Array]:
    wanted = {"images", "labels", "tracks", "roi"}
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream):
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files if key in wanted}
    except Exception as error:  # NumPy and zipfile raise whatever a damaged file makes them stumble over
        objects = "Object arrays" in str(error)
        reason = "it holds Python objects, which could run code" if objects else str(error) or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}; copy or make the file again") from None


def _stored_shape(path: Path) -> tuple[int, ...] | None:
    """The shape of `images` from the archive's header alone: nothing is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("images.npy") as stream:
            np.lib.format.read_magic(stream)
            return np.lib.format.read_array_header_1_0(stream)[0]
    except Exception:  # damaged in any way: reading it will say so
        return None


def _check(path: Path, arrays: Mapping[str, Array], crop: bool) -> None:
    for key in ("images", "labels"):
        if key not in arrays:
            raise DataError(f"{path} has no array {key!r}; a prepared archive needs images (n,h,w,3 bytes) and labels")
    images, labels, roi = arrays["images"], arrays["labels"], arrays.get("roi")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise DataError(f"{path}: images must be bytes of shape n,h,w,3, not {images.dtype} of shape {images.shape}")
    if len(images) == 0:
        raise DataError(f"{path} holds no image; make the file again")
    shapes = {"labels": (len(images),), "tracks": (len(images),), "roi": (len(images), 6)}
    for key, shape in shapes.items():
        if key in arrays and (arrays[key].shape != shape or arrays[key].dtype.kind not in "iu"):
            found = f"{arrays[key].dtype} of shape {arrays[key].shape}"
            raise DataError(f"{path}: {key} must be whole numbers of shape {shape}, not {found}; make the file again")
    _check_numbers(path, labels, arrays.get("tracks"), roi)
    if crop and roi is None:
        raise DataError(f"{path} has no array 'roi' that says where the signs are; read it without cropping")


def _check_numbers(path: Path, labels: Array, tracks: Array | None, roi: Array | None) -> None:
    classes = len(GTSRB_CLASS_NAMES)
    limits = (("labels", labels, classes), ("tracks", tracks, TRACKS_PER_CLASS))
    for name, numbers, limit in limits:
        outside = np.zeros(0, bool) if numbers is None else (numbers < 0) | (numbers >= limit)
        if numbers is not None and outside.any():
            i = int(np.argmax(outside))
            raise DataError(f"{path}: {name} must be 0 to {limit - 1}, but number {i} is {numbers[i]}; correct it")
    bad = None if roi is None else first_bad_region(roi)
    if roi is not None and bad is not None:
        raise DataError(f"{path}: roi number {bad} ({roi[bad].tolist()}) does not lie inside its image; correct it")
