"""What was read from thousands of image files is kept as one file, until a table or an image changes."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from trojancam.data.classes import GTSRB_CLASS_NAMES
from trojancam.data.framing import Frame
from trojancam.data.image_set import ImageSet
from trojancam.data.images import system_errors
from trojancam.data.layouts import Layout
from trojancam.errors import TrojanCamError, TrojanCamWarning
from trojancam.files import cache_folder, written_whole
from trojancam.progress import Progress

READER_VERSION = 1
"""Counted up when the same files would be read as something else."""

TENSORS = ("images", "labels", "tracks", "regions")
TEXTS = ("names", "skipped")
Sets = tuple[ImageSet, ImageSet]


def read_cached(files: Layout, path: Path, shown: Frame, crop: bool, progress: Progress, training: bool = True) -> Sets:
    """What `files.read` gives, from the cache if it was read before and no file has changed since.

    A cache that is damaged is made again; one that cannot be written is a warning, not an error. The test set alone is
    taken from where both are kept, or else kept by itself.
    """
    place = _hash(str(path.resolve()), type(files).__name__, *_key(shown), crop)
    try:
        folder = cache_folder("data")
    except TrojanCamError as error:
        warnings.warn(f"the images will be read anew each time: {error}", TrojanCamWarning, stacklevel=3)
        return files.read(shown, crop, progress, training)
    for both in (True,) if training else (True, False):
        kept = folder / f"gtsrb-{place}{'' if both else '-test'}.npz"
        with system_errors():
            fingerprint = _hash(READER_VERSION, files.fingerprint(both))
        if (sets := _load(kept, fingerprint, training)) is not None:
            return sets
    sets = files.read(shown, crop, progress, training)
    _save(kept, fingerprint, sets)
    return sets


def _key(shown: Frame) -> tuple[object, ...]:
    """What a frame is called in the cache: the usual ones by their side, as they always were."""
    usual = shown.share == 1 and shown.height == shown.width
    return (shown.height,) if usual else (*shown.size, shown.share)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _save(path: Path, fingerprint: str, sets: Sets) -> None:
    arrays = {"fingerprint": np.array(fingerprint)}
    for part, images in zip(("train", "test"), sets, strict=True):
        arrays |= {f"{part}_{key}": value for key, value in _arrays(images).items()}
    try:
        with written_whole(path) as partial:
            np.savez(partial, **arrays)  # type: ignore[arg-type]
    except TrojanCamError as error:
        warnings.warn(f"the images will be read anew each time: {error}", TrojanCamWarning, stacklevel=4)


def _arrays(images: ImageSet) -> dict[str, Shaped[np.ndarray, "..."]]:
    tensors = {key: getattr(images, key).numpy() for key in TENSORS if getattr(images, key) is not None}
    texts = {key: np.array(getattr(images, key), dtype=np.str_) for key in TEXTS if getattr(images, key)}
    return tensors | texts


def _load(path: Path, fingerprint: str, training: bool) -> Sets | None:
    """What was saved; None if there is nothing, or it is out of date or damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if archive["fingerprint"].item() != fingerprint:
                return None
            test = _image_set(archive, "test_")
            return _image_set(archive, "train_") if training else test.select(()), test
    except Exception:  # NumPy and zipfile raise whatever a damaged file makes them stumble over
        return None


def _image_set(archive: Any, prefix: str) -> ImageSet:
    keys = [key for key in (*TENSORS, *TEXTS) if prefix + key in archive.files]
    fields: dict[str, Any] = {key: archive[prefix + key] for key in keys}
    for key in keys:
        fields[key] = torch.from_numpy(fields[key]) if key in TENSORS else tuple(fields[key].tolist())
    return ImageSet(**fields, class_names=GTSRB_CLASS_NAMES)
