"""The tensors of an ONNX file: declared and stored sizes are compared before anything is allocated."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trojancam.errors import ModelError

if TYPE_CHECKING:
    from onnx import TensorProto

MAX_ELEMENTS = 2**29  # 2 GiB of 32-bit floats
BFLOAT16 = 16
# By ONNX's number for a type: how NumPy reads its bytes, and the field that holds the numbers where no bytes do.
TYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_data"),
    2: ("<u1", "int32_data"),
    3: ("<i1", "int32_data"),
    4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    12: ("<u4", "uint64_data"),
    13: ("<u8", "uint64_data"),
    BFLOAT16: ("<i2", "int32_data"),
}
FLOATS = {1, 10, 11, BFLOAT16}
OTHER_WIDTHS = {10: "float16", 11: "float64", BFLOAT16: "bfloat16"}
WHOLE = {2, 3, 4, 5, 6, 7, 12, 13}
TRUTH = 9
TIMES = 2  # that a data file may be read, all tensors together: few share their numbers
Left = dict[tuple[int, int], int]  # how many bytes of each data file may still be read


class Tensors:
    """The tensors of one file, read one by one; together they may not be larger than any network."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._room = MAX_ELEMENTS
        self._left: Left = {}
        self.widened: set[str] = set()  # which floats of other widths were read, but for single numbers

    def read(self, tensor: "TensorProto") -> Tensor:
        """A tensor of the file or of a data file beside it: floats in 32 bits, whole numbers in 64.

        Raises:
            ModelError: if its type is not read, its data are not of the size it declares, or lie outside the file's
                folder, or the tensors together are larger than any network.
        """
        values = _read(self._path, tensor, self._room, self._left)
        self._room -= values.numel()
        if tensor.data_type in OTHER_WIDTHS and values.numel() > 1:
            self.widened.add(OTHER_WIDTHS[tensor.data_type])
        return values


def _read(path: Path, tensor: "TensorProto", room: int, left: Left) -> Tensor:
    label = f"the tensor {tensor.name[:80]!r} in {path}"
    if tensor.data_type not in TYPES:
        raise ModelError(f"{label} has a type that is not read (number {tensor.data_type}); export 32-bit floats")
    count = _count(label, tuple(tensor.dims))
    if count > room:
        raise ModelError(f"{path} holds more than 2 GB of weights; such a network is not read")
    kind, field = TYPES[tensor.data_type]
    values = _stored(path, label, tensor, np.dtype(kind), field, count, left)
    return _widened(values, tensor.data_type).reshape(tuple(tensor.dims))


def _count(label: str, dims: tuple[int, ...]) -> int:
    if len(dims) > 8 or not all(0 <= extent <= MAX_ELEMENTS for extent in dims) or math.prod(dims) > MAX_ELEMENTS:
        shown = "x".join(str(extent) for extent in dims[:8])
        raise ModelError(f"{label} declares the size {shown}, which no network needs; get the file again")
    return math.prod(dims)


def _stored(path: Path, label: str, tensor: "TensorProto", kind: Any, field: str, count: int, left: Left) -> Any:
    """The tensor's numbers as a flat array: from another file, from bytes, or from a list of numbers."""
    if tensor.data_location == tensor.EXTERNAL:
        return _external(path, label, tensor, kind, count, left)
    listed = getattr(tensor, field)
    if len(listed) == 0:
        raw = tensor.raw_data
        _check_size(label, len(raw), count * kind.itemsize)
        return np.frombuffer(raw, kind).copy() if count else np.empty(0, kind)
    _check_size(label, len(listed), count)
    if field == "int32_data" and tensor.data_type in FLOATS:  # the bits of 16-bit floats
        return np.array(listed, np.int64).astype(np.uint16).view(kind)
    return np.array(listed, np.float64 if field == "double_data" else None).astype(kind)


def _check_size(label: str, given: int, declared: int) -> None:
    if given != declared:
        raise ModelError(f"{label} declares {declared} bytes or numbers but holds {given}; get the file again")


def _external(path: Path, label: str, tensor: "TensorProto", kind: Any, count: int, left: Left) -> Any:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = _beside(path, label, entries.get("location", ""))
    numbers = [entries.get("offset", "0"), entries.get("length", str(count * kind.itemsize))]
    if not all(number.isascii() and number.isdigit() and len(number) < 16 for number in numbers):
        raise ModelError(f"{label} names no place in its data file; get the file again")
    offset, length = int(numbers[0]), int(numbers[1])
    _check_size(label, length, count * kind.itemsize)
    facts = file.stat()
    if offset + length > facts.st_size:
        raise ModelError(f"{label} lies beyond the end of its data file {file.name}; get both files again")
    same = facts.st_dev, facts.st_ino  # by whatever name
    left[same] = left.get(same, TIMES * facts.st_size) - length
    if left[same] < 0:
        raise ModelError(f"{label} takes numbers of {file.name} that other tensors take, too; get the file again")
    if not count:
        return np.empty(0, kind)
    return np.array(np.memmap(file, kind, "r", offset, (count,)))


def _beside(path: Path, label: str, location: str) -> Path:
    """The data file, if it is one and lies in the model's folder, links followed.

    Nothing is asked of the disk for names that lead elsewhere.
    """
    elsewhere = ModelError(
        f"{label} takes its data from {location[:120]!r}, outside the model's folder; this file is not to be trusted"
    )
    parts = location.replace("\\", "/").split("/")
    if location.startswith(("/", "\\")) or ".." in parts or ":" in location or "\0" in location:
        raise elsewhere
    file = path.parent / location
    try:
        inside = file.resolve().is_relative_to(path.parent.resolve())
        present = inside and file.is_file()
    except (OSError, RuntimeError):  # a name too long; links in a circle
        inside, present = True, False
    if not inside:
        raise elsewhere
    if not present:
        raise ModelError(f"{label} takes its data from {location[:120]!r}, which is missing; put it beside the model")
    return file


def _widened(values: Any, data_type: int) -> Tensor:
    if data_type == BFLOAT16:
        return torch.from_numpy(values).view(torch.bfloat16).float()
    if data_type in FLOATS:
        with np.errstate(over="ignore"):  # what becomes infinite is refused where it is used
            return torch.from_numpy(values.astype(np.float32, copy=False))
    return torch.from_numpy(values if data_type == TRUTH else values.astype(np.int64, copy=False))
