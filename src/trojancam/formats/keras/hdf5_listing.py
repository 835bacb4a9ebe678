"""What an HDF5 file holds, without its numbers: a script of its own, since files can make the HDF5 library hang or crash.

It is run as `python -I keras_hdf5_listing.py FILE` with little time and memory, imports nothing of TrojanCAM, and prints
JSON: either `{"refused": reason}`, or the file's groups with their attributes and the places of its arrays.
"""

import importlib
import json
import math
import os
import sys
from typing import Any

SECONDS = 2  # of computing: a file takes hundredths
BYTES = 2**30
OBJECTS = 50_000
DEPTH = 32
ATTRIBUTE_BYTES = 2**24
LISTING = 2**26  # characters: attributes may share one long text


class RefusedError(Exception):
    """The file holds something that no Keras model needs."""


def main(path: str) -> None:
    """Print the listing of a file, or why it is refused."""
    _limit_resources()
    h5py: Any = importlib.import_module("h5py")
    try:
        with h5py.File(path, "r") as file:
            listing: dict[str, Any] = {"groups": {}, "arrays": {}}
            _list_group(h5py, file, listing, {_address(h5py, file)}, 0)
    except RefusedError as refusal:
        listing = {"refused": str(refusal)}
    except Exception:  # whatever the library makes of a damaged file
        listing = {"refused": "is damaged inside; get it again from its source"}
    told = json.dumps(listing)
    if len(told) > LISTING:
        told = json.dumps({"refused": "has attributes longer than any model's; do not use it"})
    sys.stdout.write(told)


def _limit_resources() -> None:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads would be counted as memory
    try:
        import resource
    except ImportError:  # not on Windows: there, the caller's clock is all there is
        return
    for limit, most in ((resource.RLIMIT_AS, BYTES), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        _, highest = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if highest == resource.RLIM_INFINITY else min(most, highest), highest))


def _list_group(h5py: Any, group: Any, listing: dict[str, Any], seen: set[int], depth: int) -> None:
    if depth > DEPTH or len(seen) > OBJECTS:
        raise RefusedError("holds more groups in groups than any model has; do not use it")
    listing["groups"][group.name] = _attributes(h5py, group)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            raise RefusedError(
                f"holds a link that leads elsewhere ({type(link).__name__} {name[:80]!r}); do not use it"
            )
        member = group[name]
        address = _address(h5py, member)
        if address in seen:
            raise RefusedError(f"holds {name[:80]!r} twice; do not use it")
        seen.add(address)
        if isinstance(member, h5py.Group):
            _list_group(h5py, member, listing, seen, depth + 1)
        elif isinstance(member, h5py.Dataset):
            listing["arrays"][member.name] = _array(h5py, member)
        else:
            raise RefusedError(f"holds {name[:80]!r}, which is no array of numbers; do not use it")


def _address(h5py: Any, member: Any) -> int:
    return int(h5py.h5o.get_info(member.id).addr)


def _array(h5py: Any, dataset: Any) -> dict[str, Any]:
    """Where an array's numbers lie in the file; only ones stored as they are have such a place."""
    layout = dataset.id.get_create_plist().get_layout()
    if dataset.external or dataset.is_virtual or layout == h5py.h5d.VIRTUAL:
        raise RefusedError(f"keeps the weights {dataset.name[:80]!r} in other files; do not use it")
    if dataset.shape is None or layout != h5py.h5d.CONTIGUOUS:
        raise RefusedError(
            f"keeps the weights {dataset.name[:80]!r} compressed or in pieces, which Keras does not do; load and save it "
            "again with Keras"
        )
    brain_float = "dtype" in dataset.attrs and _attributes(h5py, dataset).get("dtype") == "bfloat16"
    return {
        "shape": [int(extent) for extent in dataset.shape],
        "dtype": "bfloat16" if brain_float else dataset.dtype.str,
        "bytes": int(dataset.id.get_storage_size()),
        "offset": dataset.id.get_offset(),
    }


def _attributes(h5py: Any, member: Any) -> dict[str, Any]:
    """Attributes that are text or lists of text; no other ones say anything that is needed."""
    texts = {}
    for name in member.attrs:
        raw = name if isinstance(name, bytes) else name.encode()  # the library gives bytes where they are no text
        attribute = h5py.h5a.open(member.id, raw)
        size = math.prod(attribute.shape or ()) * attribute.get_type().get_size()
        if size > ATTRIBUTE_BYTES:
            raise RefusedError(f"declares an attribute {name[:80]!r} of {size} bytes; do not use it")
        if isinstance(attribute.get_type(), h5py.h5t.TypeStringID):
            texts[raw.decode(errors="backslashreplace")] = _text(member.attrs[name])
    return texts


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, str):  # bytes that are no text stand in it by one half of a pair
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return value if isinstance(value, str) else [_text(item) for item in value.tolist()]


if __name__ == "__main__":
    main(sys.argv[1])
