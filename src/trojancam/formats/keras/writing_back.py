"""Writing back: a Keras file with other numbers in its arrays; all else stays as it was, byte for byte."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trojancam.errors import ModelError
from trojancam.files import written_whole
from trojancam.formats.archives import archive
from trojancam.formats.keras.arrays import Array, read_arrays
from trojancam.formats.keras.configuration import Rebuilding
from trojancam.formats.keras.contents import WEIGHTS, Contents, contents
from trojancam.formats.keras.own_classes import Room
from trojancam.formats.keras.plain_values import RefusedError


def keras_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a Keras file by their names in it, floating-point numbers in 32 bits.

    Raises:
        ModelError: if the file cannot be read.
    """
    with TemporaryDirectory(prefix="trojancam-") as folder:
        found = _contents(path, Path(folder))
        return dict(read_arrays(found.file, found.weights))


def write_keras(path: Path, changed: Mapping[str, NDArray[Any]], out: Path) -> None:
    """Write a copy of a Keras file in which the arrays of these names hold these numbers, in the types of the file.

    Raises:
        ModelError: if the file cannot be read.
        TrojanCamError: if the copy cannot be written.
    """
    with TemporaryDirectory(prefix="trojancam-") as folder:
        found = _contents(path, Path(folder))
        weights = Path(folder) / "changed.h5"
        shutil.copyfile(found.file, weights)
        with weights.open("r+b") as stream:
            for name, values in changed.items():
                array = found.weights.arrays[name]
                stream.seek(array.offset)
                stream.write(_stored(values, array))
        with written_whole(out) as partial:
            if found.file == path:
                shutil.copyfile(weights, partial)
            else:
                _pack(path, weights, partial)


def _contents(path: Path, folder: Path) -> Contents:
    try:
        return contents(path, folder, Rebuilding(Room()))
    except RefusedError as refusal:
        raise ModelError(f"{path} {refusal}") from None


def _stored(values: NDArray[Any], array: Array) -> bytes:
    """Numbers as the bytes that the file has for them."""
    if array.dtype != "bfloat16":
        return values.astype(array.stored).tobytes()
    rounded = torch.from_numpy(np.ascontiguousarray(values, np.float32)).bfloat16()
    return rounded.view(torch.int16).numpy().astype(array.stored).tobytes()


def _pack(path: Path, weights: Path, target: Path) -> None:
    """The archive with other weights, uncompressed as Keras writes it."""
    with archive(path) as opened, zipfile.ZipFile(target, "w") as written:
        for name in opened.members:
            if name == WEIGHTS:
                written.write(weights, name)
            else:
                written.writestr(name, opened.read(name))
