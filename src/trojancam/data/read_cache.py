"""What was read from thousands of image files is kept, the training and the test set apart, until a table or an image changes."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from trojancam.data.framing import Frame
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_files import system_errors
from trojancam.data.image_set import ImageSet
from trojancam.data.layouts import Layout
from trojancam.errors import TrojanCamError, TrojanCamWarning
from trojancam.files import cache_folder
from trojancam.kept import SUFFIX, read_step, write_step
from trojancam.progress import Progress

READER_VERSION = 1
"""Counted up when the same files would be read as something else."""

TENSORS = ("images", "labels", "tracks", "regions")
TEXTS = ("names", "skipped")
Sets = tuple[ImageSet, ImageSet]


def read_cached(files: Layout, path: Path, shown: Frame, crop: bool, progress: Progress, training: bool = True) -> Sets:
    """What `files.read` gives, from the cache if it was read before and no file has changed since.

    A cache that is damaged is made again; one that cannot be written is a warning, not an error.
    """
    place = _hash(str(path.resolve()), type(files).__name__, *_key(shown), crop)
    try:
        folder = cache_folder("data")
    except TrojanCamError as error:
        _warn(error)
        return files.read(shown, crop, progress, training)
    kept = {part: folder / f"gtsrb-{place}-{part}{SUFFIX}" for part in ("train", "test")}
    with system_errors():
        runs = {
            part: _hash(READER_VERSION, files.fingerprint(part == "train"))
            for part in kept
            if training or part == "test"
        }
    found = {part: _load(kept[part], run) for part, run in runs.items()}
    train, test = found.get("train"), found["test"]
    if test is not None and (train is not None or not training):
        return test.select(()) if train is None else train, test
    sets = files.read(shown, crop, progress, training)
    try:
        for part, images in zip(kept, sets, strict=True):
            if part in runs:
                _save(kept[part], runs[part], images)
    except TrojanCamError as error:
        _warn(error)
    return sets


def _warn(error: TrojanCamError) -> None:
    warnings.warn(f"the images will be read anew each time: {error}", TrojanCamWarning, stacklevel=4)


def _key(shown: Frame) -> tuple[object, ...]:
    """What a frame is called in the cache: the usual ones by their side, as they always were."""
    usual = shown.share == 1 and shown.height == shown.width
    return (shown.height,) if usual else (*shown.size, shown.share)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _save(path: Path, run: str, images: ImageSet) -> None:
    tensors = {key: value for key in TENSORS if (value := getattr(images, key)) is not None}
    write_step(path, run, tensors, {key: getattr(images, key) for key in TEXTS})


def _load(path: Path, run: str) -> ImageSet | None:
    """What was saved; None if there is nothing, or it is out of date or damaged."""
    step = read_step(path)
    if step is None or step.run != run:
        return None
    fields: dict[str, Any] = dict(step.tensors)
    fields |= {key: tuple(told) for key in TEXTS if (told := step.data[key]) is not None}
    return ImageSet(**fields, class_names=GTSRB_CLASS_NAMES)
