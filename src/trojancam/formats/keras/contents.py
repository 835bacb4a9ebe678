"""Keras files: what a `.keras` archive or an HDF5 file holds, checked before Keras is even imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trojancam.formats.archives import archive, is_archive
from trojancam.formats.json_text import json_in
from trojancam.formats.keras.arrays import AGAIN, Listing, listed
from trojancam.formats.keras.configuration import Rebuilding, rebuilt
from trojancam.formats.keras.plain_values import RefusedError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_CONFIG, LARGEST_METADATA = 2**23, 2**16
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Contents:
    """What a file holds: its network, and where its weights are.

    `config` is the rebuilt configuration; `weights` lists the arrays of `file`, which Keras reads when they are written
    to one of the name `weights_name`.
    """

    format: str
    config: dict[str, Any]
    gathered: Rebuilding
    version: str
    file: Path
    weights: Listing
    weights_name: str


def contents(path: Path, folder: Path, gathered: Rebuilding) -> Contents:
    """What a Keras file holds; what must be unpacked goes to the folder.

    Raises:
        RefusedError: if it holds anything that no model needs.
        ModelError: if it is an archive that is damaged or built to do harm.
    """
    with path.open("rb") as stream:
        head = stream.read(len(HDF5))
    if is_archive(head):
        return _of_archive(path, folder, gathered)
    if head == HDF5:
        return _of_hdf5(path, gathered)
    raise RefusedError("is neither a .keras nor an HDF5 file, or it is damaged; give a file that Keras saved")


def _of_archive(path: Path, folder: Path, gathered: Rebuilding) -> Contents:
    with archive(path) as opened:
        strange = sorted(opened.members.keys() - {CONFIG, METADATA, WEIGHTS})
        if strange:
            raise RefusedError(f"holds {strange[0]!r:.80}, which no .keras file of a classifier needs; do not use it")
        config = rebuilt(parsed(opened.read(CONFIG, LARGEST_CONFIG)), gathered)
        about = parsed(opened.read(METADATA, LARGEST_METADATA)) if METADATA in opened.members else {}
        if WEIGHTS in opened.members and opened.members[WEIGHTS].compressed:
            raise RefusedError(
                "keeps its weights compressed, which Keras does not do; load and save it again with Keras"
            )
        weights = folder / f"unpacked.{WEIGHTS}"
        weights.write_bytes(opened.read(WEIGHTS))
    version = about.get("keras_version") if isinstance(about, dict) else None
    return Contents("keras", config, gathered, str(version or "")[:20], weights, listed(weights), WEIGHTS)


def _of_hdf5(path: Path, gathered: Rebuilding) -> Contents:
    listing = listed(path)
    root = listing.groups["/"]
    config = root.get("model_config")
    if not isinstance(config, str):
        raise RefusedError(
            "holds weights, but not the network that they belong to; save the whole model with model.save()"
        )
    if len(config) > LARGEST_CONFIG:
        raise RefusedError(f"has a configuration of {len(config)} characters, more than any classifier; do not use it")
    weights = listing.within("/model_weights")
    version = root.get("keras_version") or weights.groups.get("/model_weights", {}).get("keras_version")
    model = rebuilt(parsed(config), gathered)
    return Contents("keras-h5", model, gathered, str(version or "")[:20], path, weights, "weights.h5")


def parsed(text: bytes | str) -> Any:
    """JSON, in which no name comes twice and every number is finite.

    Raises:
        RefusedError: if it is not that, or nested too deeply.
    """
    try:
        return json_in(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RefusedError(f"has a configuration that is damaged, or nested too deeply; {AGAIN}") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name comes twice")
    return names


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
