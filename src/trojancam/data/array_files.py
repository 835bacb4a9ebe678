"""Images that lie in arrays: NumPy's `.npz` and `.npy`, MNIST's IDX files and CIFAR's binary ones. Nothing in them is run."""

import gzip
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped, UInt8

from trojancam.data.framing import Frame
from trojancam.data.image_set import ImageSet
from trojancam.data.prepared import resized
from trojancam.errors import DataError
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

Array = Shaped[np.ndarray, "..."]
Part = Callable[[], tuple[Array, Array]]  # images and labels, read when they are wanted

IMAGE_KEYS, LABEL_KEYS = ("images", "image", "x", "data", "imgs"), ("labels", "label", "y", "targets", "classes")
PARTS = (("train", "training"), ("test", "testing", "val", "valid", "validation"))
AGAIN = "get the file again"
MOST_CLASSES = 100_000
GROWTH, ALLOWANCE = 100, 256 << 20  # packed arrays may grow to 100 times the file, and 256 MB more
_IDX = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
_CIFAR_SIDE = 32


@dataclass(frozen=True)
class ArrayFiles(Brief):
    """The parts of a data set that lies in arrays; without a second part, the first is to be split."""

    first: Part
    second: Part | None = None
    class_names: tuple[str, ...] | None = None


def find_arrays(path: Path) -> ArrayFiles | None:
    """The arrays at a path: a file, or a folder that holds them; None if there are none.

    Raises:
        DataError: if there is a part of them only, or they are Python's pickles, which could run code.
    """
    if path.is_file():
        by_ending = {".npz": _in_archive, ".npy": _beside}
        return by_ending[path.suffix.lower()](path) if path.suffix.lower() in by_ending else None
    if not path.is_dir():
        return None
    files = {file.name.lower(): file for file in sorted(path.iterdir()) if file.is_file()}
    if {"data_batch_1", "test_batch"} <= files.keys():
        raise DataError(f"{path} holds CIFAR as Python pickles, which could run code; get its binary version (*.bin)")
    archives = [file for name, file in files.items() if name.endswith(".npz")]
    if len(archives) == 1:
        return _in_archive(archives[0])
    return _idx(path, files) or _cifar(path, files) or _separate(files)


def image_set(
    path: Path,
    part: Part,
    shown: Frame,
    class_names: Sequence[str] | None,
    classes: int | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """The images of a part, in this frame; classes without names are called by their numbers.

    Raises:
        DataError: if the arrays are damaged, are no images and labels, or have other labels than there are classes.
    """
    images, labels = part()
    numbers, pixels = _labels(path, labels, len(images)), _pixels(path, images)
    count = max(int(numbers.max()) + 1, classes or 0)
    names = tuple(class_names) if class_names else tuple(str(number) for number in range(count))
    if count > len(names):
        raise DataError(f"{path} has labels to {count - 1}, but there are {len(names)} classes; correct them")
    colours = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels
    framed = resized(colours, None, shown, progress, f"resizing {path.name}")
    return ImageSet(torch.from_numpy(framed).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(numbers), names)


def _labels(path: Path, labels: Array, count: int) -> Shaped[np.ndarray, " n"]:
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.shape != (count,) or flat.dtype.kind not in "iu" or count == 0 or int(flat.min()) < 0:
        raise DataError(
            f"{path}: labels must be {count} whole numbers from 0, not {labels.dtype} of shape {labels.shape}; correct it"
        )
    if int(flat.max()) >= MOST_CLASSES:
        raise DataError(
            f"{path} has labels to {int(flat.max())}, but at most {MOST_CLASSES} classes are read; correct it"
        )
    return flat.astype(np.int64)


def _pixels(path: Path, images: Array) -> UInt8[np.ndarray, "n h w c"]:
    """Bytes, channels last, from the usual ways to store images: grey or RGB, channels first or last, floats or bytes."""
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.ndim == 4 and shaped.shape[3] not in (1, 3) and shaped.shape[1] in (1, 3):
        shaped = shaped.transpose(0, 2, 3, 1)
    if shaped.ndim != 4 or shaped.shape[3] not in (1, 3) or 0 in shaped.shape or shaped.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: images must be of shape n,h,w or n,h,w,3 or n,3,h,w, not {images.dtype} of shape {images.shape}; "
            "store them so"
        )
    if shaped.dtype == np.uint8:
        return np.ascontiguousarray(shaped)
    low, high = float(shaped.min()), float(shaped.max())
    if not (low >= 0 and high <= 255):
        raise DataError(f"{path}: pixels run from {low:g} to {high:g}, not from 0 to 1 or 255; store them so")
    scale = 255 if shaped.dtype.kind == "f" and high <= 1 else 1
    return np.ascontiguousarray((shaped * scale).round().astype(np.uint8))


def _in_archive(path: Path) -> ArrayFiles:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = list(archive.files)
    except Exception as error:  # NumPy and zipfile raise whatever a damaged file makes them stumble over
        raise DataError(f"cannot read {path}: {error or type(error).__name__}; {AGAIN}") from None
    pairs = _pairs({key.lower(): key for key in keys})
    if not pairs:
        held = ", ".join(keys[:8]) or "nothing"
        raise DataError(
            f"{path} holds {held}, but no images and labels; call them images and labels, or x_train, y_train"
        )
    return _of_parts([partial(_of_archive, path, *pair) for pair in pairs])


def _of_archive(path: Path, images: str, labels: str) -> tuple[Array, Array]:
    with zipfile.ZipFile(path) as packed:
        taken = [info for info in packed.infolist() if info.filename.removesuffix(".npy") in (images, labels)]
    _check_growth(path, sum(info.file_size for info in taken))
    with np.load(path, allow_pickle=False) as archive:
        return _without_objects(path, lambda: (archive[images], archive[labels]))


def _without_objects(path: Path, read: Callable[[], tuple[Array, Array]]) -> tuple[Array, Array]:
    try:
        pair = read()
        if all(isinstance(each, np.ndarray) for each in pair):
            return pair
        raise DataError("it holds something else than arrays under their names")  # NumPy gives bytes for what it is not
    except Exception as error:
        objects = "Object arrays" in str(error) or "allow_pickle" in str(error)
        reason = "it holds Python objects, which could run code" if objects else str(error) or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}; {AGAIN}") from None


def _pairs(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names of images and labels that belong together: of a training and a test part, or of one whole."""
    found = list[tuple[str, str]]()
    for part in (*PARTS, ("",)):
        spelled = [(f"{word}_{end}", f"{end}_{word}") if end else (word,) for end in part for word in IMAGE_KEYS]
        images = next((name for names_of in spelled for name in names_of if name in names), None)
        spelled = [(f"{word}_{end}", f"{end}_{word}") if end else (word,) for end in part for word in LABEL_KEYS]
        labels = next((name for names_of in spelled for name in names_of if name in names), None)
        if images and labels and not (part == ("",) and found):
            found.append((names[images], names[labels]))
    return found


def _of_parts(parts: Sequence[Part], class_names: tuple[str, ...] | None = None) -> ArrayFiles:
    return ArrayFiles(parts[0], parts[1] if len(parts) > 1 else None, class_names)


def _beside(path: Path) -> ArrayFiles:
    """An array of images in a file of its own, its labels in another one beside it."""
    files = {file.name.lower(): file for file in sorted(path.parent.glob("*.npy"))}
    for images, labels in zip(IMAGE_KEYS, LABEL_KEYS, strict=True):
        other = re.sub(rf"(?<![a-z]){images}(?![a-z])", labels, path.stem.lower())
        if other != path.stem.lower() and f"{other}.npy" in files:
            return _of_parts([partial(_of_files, path, files[f"{other}.npy"])])
    raise DataError(f"there are no labels beside {path}; put them into labels.npy, and the images into images.npy")


def _separate(files: Mapping[str, Path]) -> ArrayFiles | None:
    stems = {name.removesuffix(".npy"): name for name in files if name.endswith(".npy")}
    pairs = _pairs(stems)
    parts = [partial(_of_files, files[images], files[labels]) for images, labels in pairs]
    return _of_parts(parts) if parts else None


def _of_files(images: Path, labels: Path) -> tuple[Array, Array]:
    return _without_objects(images, lambda: (np.load(images, allow_pickle=False), np.load(labels, allow_pickle=False)))


def _idx(path: Path, files: Mapping[str, Path]) -> ArrayFiles | None:
    """MNIST's files: train-images-idx3-ubyte and its like, packed or not."""
    found = {
        (match[1].replace("test", "t10k"), match[2]): files[name] for name in files if (match := _IDX.fullmatch(name))
    }
    if not found:
        return None
    parts = []
    for part in ("train", "t10k"):
        lacking = [kind for kind in ("images", "labels") if (part, kind) not in found]
        if len(lacking) == 1:
            raise DataError(f"{path} has no {part}-{lacking[0]} file beside the other of its part; put it there too")
        if not lacking:
            parts.append(partial(_of_idx, found[part, "images"], found[part, "labels"]))
    return _of_parts(parts)


def _of_idx(images: Path, labels: Path) -> tuple[Array, Array]:
    return _idx_array(images, 3), _idx_array(labels, 1)


def _idx_array(path: Path, axes: int) -> Array:
    """Four bytes (0, 0, 8 for bytes, the number of axes), the extents as 32-bit numbers, big end first, and the bytes."""
    head, packed, own = struct.Struct(f">4s{axes}I"), path.suffix.lower() == ".gz", bytes([0, 0, 8, axes])
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            magic, *extents = head.unpack(stream.read(head.size))
            size = math.prod(extents) if magic == own else 0
            if packed:
                _check_growth(path, size)
            content = stream.read(size + 1 if packed else -1)
    except struct.error:
        magic, size, content = b"", 0, b""
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"cannot read {path} ({error}); {AGAIN}") from None
    if magic != own or len(content) != size:
        raise DataError(f"{path} is no whole IDX file of bytes with {axes} axes; {AGAIN}")
    return np.frombuffer(content, np.uint8).reshape(extents).copy()


def _check_growth(path: Path, unpacked: int) -> None:
    """Refuse a small file that unpacks to very much."""
    packed = path.stat().st_size
    if unpacked > GROWTH * packed + ALLOWANCE:
        raise DataError(f"{path} holds {packed} bytes that claim to unpack to {unpacked}, as in a zip bomb; {AGAIN}")


def _cifar(path: Path, files: Mapping[str, Path]) -> ArrayFiles | None:
    """CIFAR-10's data_batch_1.bin to 5 and test_batch.bin, or CIFAR-100's train.bin and test.bin."""
    batches = [files[name] for name in files if re.fullmatch(r"data_batch_\d+\.bin", name)]
    if batches and "test_batch.bin" in files:
        names = _lines(files.get("batches.meta.txt"))
        return ArrayFiles(partial(_of_cifar, batches, 1), partial(_of_cifar, [files["test_batch.bin"]], 1), names)
    if {"train.bin", "test.bin"} <= files.keys():
        first, second = (partial(_of_cifar, [files[f"{part}.bin"]], 2) for part in ("train", "test"))
        return ArrayFiles(first, second, _lines(files.get("fine_label_names.txt")))
    return None if not batches else _lacking_test(path)


def _lacking_test(path: Path) -> ArrayFiles:
    raise DataError(f"{path} holds CIFAR's data_batch_*.bin but no test_batch.bin; put it there too")


def _of_cifar(files: Sequence[Path], label_bytes: int) -> tuple[Array, Array]:
    """Records of labels (the last counts) and 3 x 32 x 32 bytes."""
    size = label_bytes + 3 * _CIFAR_SIDE**2
    contents = [np.fromfile(file, np.uint8) for file in files]
    for file, content in zip(files, contents, strict=True):
        if not len(content) or len(content) % size:
            raise DataError(f"{file} is no whole file of CIFAR: its records have {size} bytes; {AGAIN}")
    records = np.concatenate(contents).reshape(-1, size)
    images = records[:, label_bytes:].reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE)
    return images, records[:, label_bytes - 1]


def _lines(file: Path | None) -> tuple[str, ...] | None:
    if file is None:
        return None
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip()) or None
