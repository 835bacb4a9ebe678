"""Reading image files of any kind as RGB bytes; broken ones get one sentence each and do not stop the others."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trojancam.data.framing import Frame, Size, frame
from trojancam.errors import DataError
from trojancam.pictures import PictureError, as_rgb, as_rgba
from trojancam.progress import Progress, silent

Image.init()
LEFT_ALONE = {
    "BUFR": "the system or a plug-in is asked to draw it",
    "EPS": "another program is run to draw it",
    "FITS": "it holds measurements, and does not say which of them is white",
    "GRIB": "the system or a plug-in is asked to draw it",
    "HDF5": "it holds arrays, and a plug-in is asked which of them is a picture",
    "MPEG": "it is a film, which Pillow knows but does not decode",
    "WMF": "the system is asked to draw it",
}
"""Formats that Pillow opens, and why they do not count as images here."""

_READ_BY_ANOTHER = {"MPO": "JPEG"}  # formats without a reader of their own: stereo cameras write JPEG after JPEG
FORMATS = tuple(sorted(set(Image.OPEN) - LEFT_ALONE.keys()))
EXTENSIONS = frozenset(
    ending for ending, kind in Image.registered_extensions().items() if _READ_BY_ANOTHER.get(kind, kind) in FORMATS
)
_OF_THE_SYSTEM = {"thumbs.db", "desktop.ini"}

MAX_PIXELS = 50_000_000
"""Larger images are refused: a file of a few kilobytes can claim a size that fills the memory."""

REPLACE = "replace or remove the file"
MAX_THREADS = 8
REPORT_EVERY = 64

Item = TypeVar("Item")


class UnreadableImageError(DataError):
    """One image file that cannot be read; those who read many skip it and list it."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"cannot read the image {path}: {reason}; {advice}")
        self.path, self.reason, self.advice = path, reason, advice


def read_image(path: str | Path, size: Size | None = None, share: float = 1.0) -> UInt8[Tensor, "3 h w"]:
    """One image file as RGB bytes; if a size is given, its middle, `share` of its sides, on so many pixels (bilinear).

    `size` is the side of a square, or height and width.

    Grey, palette, CMYK and 16-bit images are converted to 8-bit RGB, transparent pixels are laid on white, a camera's
    orientation is applied, and of an animation the first picture is taken.

    Raises:
        DataError: if the file is missing, no image, cut short, or larger than 50 million pixels.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 2), 200).save(f"{folder}/grey.png")
    ...     read_image(f"{folder}/grey.png").shape, read_image(f"{folder}/grey.png", size=32)[0, 0, 0].item()
    (torch.Size([3, 2, 4]), 200)
    """
    image = rgb_image(Path(path))
    if size is not None:
        image = frame(size, share).cut(image)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def read_images(
    paths: Sequence[str | Path], size: Size, share: float = 1.0, *, progress: Progress = silent
) -> tuple[UInt8[Tensor, "n 3 h w"], tuple[Path, ...], tuple[str, ...]]:
    """Read many image files, as `read_image` does: the images, the files they came from, and the broken files.

    Each broken file is a line "path: reason".

    Raises:
        DataError: if there is no file, or none can be read.

    >>> read_images(["missing.png"], 32)
    Traceback (most recent call last):
    trojancam.errors.DataError: none of the 1 images can be read; the first is missing.png: there is no such file
    """
    files = [Path(path) for path in paths]
    images, good, broken = read_all(files, rgb_image, frame(size, share), progress, "reading images")
    return images, tuple(files[i] for i in good), tuple(f"{error.path}: {error.reason}" for error in broken)


def read_portion(
    files: Sequence[Path], size: Size, share: float = 1.0
) -> tuple[UInt8[Tensor, "n 3 h w"], tuple[Path, ...], tuple[str, ...]]:
    """As `read_images`, for some of many files: perhaps none of these can be read."""
    images, good, broken = _read(files, rgb_image, frame(size, share), silent, "")
    return images, tuple(files[i] for i in good), tuple(f"{error.path}: {error.reason}" for error in broken)


def read_all(
    items: Sequence[Item], read: Callable[[Item], Image.Image], shown: Frame, progress: Progress, note: str
) -> tuple[UInt8[Tensor, "n 3 h w"], list[int], list[UnreadableImageError]]:
    """Read every item with `read`, in threads: the images in order, the indices of the good ones, and the errors.

    Raises:
        DataError: if none can be read.
    """
    images, good, errors = _read(items, read, shown, progress, note)
    if not good:
        first = f"the first is {errors[0].path}: {errors[0].reason}" if errors else "there are no files"
        raise DataError(f"none of the {len(items)} images can be read; {first}")
    return images, good, errors


def _read(
    items: Sequence[Item], read: Callable[[Item], Image.Image], shown: Frame, progress: Progress, note: str
) -> tuple[UInt8[Tensor, "n 3 h w"], list[int], list[UnreadableImageError]]:
    shape = (*shown.size, 3)
    images = np.empty((len(items), *shape), dtype=np.uint8)
    good: list[int] = []
    errors: list[UnreadableImageError] = []
    with _threads() as pool:
        batches = [items[start : start + REPORT_EVERY] for start in range(0, len(items), REPORT_EVERY)]
        results = pool.map(lambda batch: [_attempt(item, read, shown) for item in batch], batches)
        for i, result in enumerate(itertools.chain.from_iterable(results)):
            if isinstance(result, UnreadableImageError):
                errors.append(result)
            else:
                images[len(good)] = result
                good.append(i)
            if (i + 1) % REPORT_EVERY == 0 or i + 1 == len(items):
                progress(i + 1, len(items), note)
    return torch.from_numpy(images[: len(good)]).permute(0, 3, 1, 2).contiguous(), good, errors


def read_image_with_alpha(path: str | Path, size: int) -> UInt8[Tensor, "4 h w"]:
    """One image file as RGB bytes and opacity (255 where it has none), resized to `size` x `size` pixels.

    Raises:
        DataError: as `read_image`.
    """
    image = frame(size).cut(_decoded(Path(path), as_rgba))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def rgb_image(path: Path) -> Image.Image:
    """One image file as an 8-bit RGB image, transparent pixels on white.

    Raises:
        UnreadableImageError: if it cannot be read.
    """
    return _decoded(path, as_rgb)


def _decoded(path: Path, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        try:
            return _opened(path, convert)
        except (
            MemoryError
        ):  # a file that asks for too much does so again; one that the machine failed must not be left out
            return _opened(path, convert)
    except PictureError as error:
        raise UnreadableImageError(path, error.reason, error.remedy) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = f"it has more than {MAX_PIXELS // 1_000_000} million pixels"
        raise UnreadableImageError(path, reason, "make it smaller first") from None
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them stumble over
        raise _explained(path, error) from None


def _opened(path: Path, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
        image.load()
        return convert(_upright(image))


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name, of all kinds that Pillow reads; hidden files do not count."""
    return [file for file in _files(folder) if file.suffix.lower() in EXTENSIONS]


def count_below(folder: Path) -> int:
    """How many image files there are in the folders in a folder, however deep; links to folders are not followed."""
    count = 0
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith((".", "__"))]
        if Path(place) != folder:
            count += sum(Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".") for name in names)
    return count


def other_files(folder: Path) -> Counter[str]:
    """How many files directly in a folder are no images, by the ending of their names; hidden ones do not count."""
    others = (file for file in _files(folder) if file.suffix.lower() not in EXTENSIONS)
    return Counter(file.suffix.lower() for file in others if file.name.lower() not in _OF_THE_SYSTEM)


def _files(folder: Path) -> list[Path]:
    return sorted(Path(entry) for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith("."))


@contextmanager
def system_errors() -> Iterator[None]:
    """Folders that may not be read, or vanish while they are: a sentence instead of the system's error."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename} ({error.strerror})" if error.filename else f"the data ({error})"
        raise DataError(f"cannot read {what}; check the path and its permissions") from None


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads (Pillow decodes without Python's lock) that drop what is still to do when the block is left early."""
    pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _attempt(
    item: Item, read: Callable[[Item], Image.Image], shown: Frame
) -> UInt8[np.ndarray, "h w 3"] | UnreadableImageError:
    try:
        return np.asarray(shown.cut(read(item)))
    except UnreadableImageError as error:
        return error


def _upright(image: Image.Image) -> Image.Image:
    """Turned as the camera was held; a damaged note of that is no reason to lose the image."""
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _explained(path: Path, error: Exception) -> UnreadableImageError:
    cases = (
        (isinstance(error, FileNotFoundError), "there is no such file", "check the path"),
        (path.is_dir(), "it is a folder", "give an image file"),
        (isinstance(error, PermissionError), "you may not read it", "change its permissions"),
        (path.is_file() and path.stat().st_size == 0, "it is empty", REPLACE),
        (
            isinstance(error, UnidentifiedImageError),
            "it is not an image, or of a kind that Pillow does not know",
            REPLACE,
        ),
        ("truncated" in str(error).lower(), "it is cut short", REPLACE),
        (True, f"it is damaged ({str(error).strip() or type(error).__name__})", REPLACE),
    )
    return next(UnreadableImageError(path, reason, advice) for holds, reason, advice in cases if holds)
