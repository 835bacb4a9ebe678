"""Keras weights: the arrays of an HDF5 file, found by a process of its own, read as plain bytes, and written anew.

Keras, and with it the HDF5 library in our own process, reads only the file that is written here.
"""

import importlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trojancam import processes
from trojancam.formats.keras import hdf5_listing as keras_hdf5_listing
from trojancam.formats.keras.plain_values import RefusedError

SECONDS = 15  # by the clock, for machines that are busy; the listing limits its own computing
MOST_NUMBERS = 500_000_000
AGAIN = "get it again from its source"
TYPES = {f"{order}{kind}" for order in "<>|" for kind in ("f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i4", "i8")}


@dataclass(frozen=True)
class Array:
    """Where the numbers of one array lie in a file."""

    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def numbers(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    @property
    def stored(self) -> np.dtype[Any]:
        """Their type in the file; NumPy has none for bfloat16, which is the upper half of a 32-bit float."""
        return np.dtype("<u2" if self.dtype == "bfloat16" else self.dtype)


@dataclass(frozen=True)
class Listing:
    """Groups with their attributes, and arrays, of an HDF5 file, by their names within it."""

    groups: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, Array]

    def within(self, group: str) -> "Listing":
        """The same, of one group and all that it holds."""
        return Listing(
            {name: value for name, value in self.groups.items() if f"{name}/".startswith(f"{group}/")},
            {name: value for name, value in self.arrays.items() if name.startswith(f"{group}/")},
        )

    @property
    def numbers(self) -> int:
        """How many numbers the arrays hold together."""
        return sum(array.numbers for array in self.arrays.values())


def listed(file: Path) -> Listing:
    """What an HDF5 file holds.

    Raises:
        RefusedError: if it is damaged, or holds links, arrays in other files, compressed or excessive ones.
    """
    found = _asked(file)
    if "refused" in found:
        raise RefusedError(str(found["refused"]))
    arrays = {name: _array(name, entry) for name, entry in found["arrays"].items()}
    listing = Listing(found["groups"], arrays)
    if sum(array.numbers * array.stored.itemsize for array in arrays.values()) > file.stat().st_size:
        raise RefusedError(f"declares more weights than it has bytes; {AGAIN}")
    if listing.numbers > MOST_NUMBERS:
        raise RefusedError(f"holds {listing.numbers} weights, more than the {MOST_NUMBERS} that are read")
    return listing


def _asked(file: Path) -> dict[str, Any]:
    """The listing that another process makes, or why there is none."""
    script = Path(keras_hdf5_listing.__file__)
    command = processes.python("-I", str(script), str(file.resolve()))
    try:
        result = processes.finished(
            command, script.parent, capture_output=True, timeout=SECONDS, stdin=processes.DEVNULL
        )
        found = json.loads(result.stdout)
    except (processes.SubprocessError, ValueError):  # it hung, crashed or ran out of memory
        return {"refused": f"is damaged, in a way that makes the HDF5 library fail; {AGAIN}"}
    return dict(found)


def _array(name: str, entry: Mapping[str, Any]) -> Array:
    dtype = str(entry["dtype"])
    if dtype not in TYPES | {"bfloat16"}:
        raise RefusedError(
            f"holds {name[:80]!r}, which are no plain numbers ({dtype[:40]}); save it with 32-bit weights"
        )
    array = Array(tuple(entry["shape"]), dtype, int(entry["offset"] or 0))
    if array.numbers * array.stored.itemsize != entry["bytes"]:
        raise RefusedError(
            f"declares {array.numbers} numbers of {name[:80]!r}, but stores {entry['bytes']} bytes of them; {AGAIN}"
        )
    return array


def rewrite(file: Path, listing: Listing, target: Path) -> None:
    """Write the listed groups and arrays of a file to a new one, arrays of floating-point numbers in 32 bits.

    Raises:
        RefusedError: if numbers are missing or not finite, or an attribute is text that HDF5 has no form for.
    """
    h5py: Any = importlib.import_module("h5py")
    with h5py.File(target, "w") as written:
        for name, attributes in listing.groups.items():
            group = written.require_group(name)
            for key, value in attributes.items():
                text = h5py.string_dtype() if value else "S1"
                try:
                    group.attrs.create(key, value, dtype=text)
                except ValueError:  # a null character inside, or what is no Unicode
                    raise RefusedError(
                        f"holds names that are no text ({key[:80]!r} of {name[:80]!r}); {AGAIN}"
                    ) from None
        for name, values in read_arrays(file, listing):
            written.create_dataset(name, data=values)


def read_arrays(file: Path, listing: Listing) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a file with their names, floating-point numbers in 32 bits.

    Raises:
        RefusedError: if numbers are missing or not finite.
    """
    with file.open("rb") as stream:
        for name, array in listing.arrays.items():
            values = _numbers(stream, array)
            if values is None:
                raise RefusedError(f"is not whole: the weights {name[:80]!r} end before they should; {AGAIN}")
            if not np.isfinite(values).all():
                raise RefusedError(f"holds weights {name[:80]!r} that are not finite; train the network again")
            yield name, values


def _numbers(stream: BinaryIO, array: Array) -> NDArray[Any] | None:
    stream.seek(array.offset)
    content = stream.read(array.numbers * array.stored.itemsize)
    if len(content) != array.numbers * array.stored.itemsize:
        return None
    values = np.frombuffer(content, array.stored)
    if array.dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, and is refused
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
    return values.reshape(array.shape)
