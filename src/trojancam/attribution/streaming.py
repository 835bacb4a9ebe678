"""Streaming: attributions of any number of images into one file, in bounded memory, resumable after a kill.

Each batch is written into arrays on disk as it is done; when the last one is, they become one `.npz` or `.safetensors`
file with the settings inside.
"""

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.attributing import attribute
from trojancam.attribution.attribution import Attribution
from trojancam.attribution.methods import METHODS
from trojancam.attribution.sources import GivenSource, Source, source
from trojancam.errors import DataError, TrojanCamError, unknown_name
from trojancam.files import as_path, check_new, named_in_text, writable_folder, written_whole
from trojancam.kept import SUFFIX, read_step, warn_damaged, write_step
from trojancam.locks import only_run_on
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, shown
from trojancam.showing import Named
from trojancam.version import __version__

Array = np.memmap[Any, np.dtype[np.float32]]
NOTED_EVERY = 2.0  # seconds: so much is done again at most after a kill; a note waits for the disk
SETTINGS = "settings"  # the name of the settings in either kind of file
Reduction = Callable[[Attribution], Float[Tensor, "n ..."]]

REDUCTIONS: dict[str, Reduction] = {
    "contributions": lambda attribution: attribution.contributions,
    "energy": lambda attribution: attribution.feature_maps().sum((2, 3)),
    "layer-map": lambda attribution: attribution.layer_map(),
}
"""What is kept of each layer: everything (n k h w), the energy of each feature map (n k), or the layer's map (n h w)."""


@dataclass(frozen=True)
class _Stream:
    """What determines the file: a partial result is only ever continued by the same job."""

    images: int
    method: str
    target: str
    layers: tuple[str, ...]
    keep: str
    network: str
    fingerprint: str

    def settings(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "method": self.method,
            "target": self.target,
            "layers": list(self.layers),
            "keep": self.keep,
            "network": self.network,
            "fingerprint": self.fingerprint,
            "trojancam": __version__,
        }


def stream(
    network: Network,
    images: GivenSource,
    path: str | Path,
    method: str = "grad-cam",
    target: given.GivenTarget = None,
    layers: given.GivenNames | None = None,
    keep: str = "contributions",
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Path:
    """Attribute all images and write one array for each layer to `path` (`.npz` or `.safetensors`), settings inside.

    Images are an array, a set of images, a data set or a `DataLoader` of one; target and layers are as for `record`. `keep`
    names what is kept of a layer: `contributions` (n k h w), `energy` of each feature map (n k), or `layer-map` (n h w).
    Memory holds one batch; a run that was killed goes on where it was, at most two seconds before, when called again.

    Raises:
        UnknownNameError: if the method, a layer, what to keep, or the kind of file does not exist.
        DataError: if there are no images, or batches of none.
        TrojanCamError: if the file exists or cannot be written, or an unfinished run on other images, or with another
            network or other settings, left its folder there, or another run writes the same file.
    """
    path = as_path(path, "a file of attributions")
    found = source(network, images)
    _check(path, found, method, keep, batch_size)
    score, names = given.target(network, target), given.layers(network, layers)
    job = _Stream(len(found), method, score.name, names, keep, network.name, found.fingerprint())
    told = shown(progress)
    with only_run_on(path):
        parts = _Parts(path.with_name(path.name + ".partial"), job)
        try:
            for start, end in parts.missing(batch_size):
                these = score.of(torch.arange(start, end), len(found)) if score.choose else score
                cams = attribute(network, found.batch(start, end), (method,), these, names, seed=start)[method]
                parts.add(start, {name: REDUCTIONS[keep](cams[name]) for name in names})
                told(end, len(found), "attributing")
        except BaseException:  # also Ctrl-C: what was done until now is kept
            parts.note_down()
            raise
        _WRITERS[path.suffix](path, parts)
        parts.remove()
    return path


def read_stream(path: str | Path) -> tuple[dict[str, Any], Named[np.ndarray]]:
    """The settings and the arrays, by layer, of a file that `stream` wrote.

    Raises:
        DataError: if it is missing, damaged, or not such a file.
    """
    path = as_path(path, "a file of attributions")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return json.loads(str(arrays.pop(SETTINGS))), Named("layer", arrays)
        with named_in_text(path) as named, safetensors.safe_open(named, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return json.loads(file.metadata()[SETTINGS]), Named("layer", arrays)
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is not a whole file of attributions ({error}); write it with stream()") from None


class _Parts:
    """An array on disk for each layer, filled batch by batch; and a note of the batches that are done, with their SHA-256."""

    def __init__(self, folder: Path, job: _Stream) -> None:
        self.folder, self.job = writable_folder(folder), job
        self.note, self.run = folder / f"done{SUFFIX}", json.dumps(job.settings())
        self._arrays: dict[str, Array] = {}
        self._shapes: dict[str, list[int]] = {}
        self._done: dict[int, tuple[int, list[str]]] = {}  # where a batch starts: where it ends, each layer's SHA-256
        self._noted = time.monotonic()
        self._read()

    def missing(self, batch_size: int) -> Iterator[tuple[int, int]]:
        """Where the batches start and end that are to be done: first those that were done and are damaged."""
        for start, (end, digests) in list(self._done.items()):
            if digests != [_sha256(self._array(name)[start:end]) for name in self.job.layers]:
                warn_damaged(self.folder)
                yield start, end
        first = max((end for end, _ in self._done.values()), default=0)
        for start in range(first, self.job.images, batch_size):
            yield start, min(start + batch_size, self.job.images)

    def add(self, start: int, values: dict[str, Tensor]) -> None:
        """Write a batch into its place, and note it down if the last note is some time ago."""
        for name, value in values.items():
            self._shapes.setdefault(name, [self.job.images, *value.shape[1:]])
            self._array(name)[start : start + len(value)] = value.cpu().numpy()
        end = start + len(next(iter(values.values())))
        self._done[start] = end, [_sha256(self._array(name)[start:end]) for name in self.job.layers]
        if time.monotonic() - self._noted > NOTED_EVERY:
            self.note_down()

    def note_down(self) -> None:
        """Note which batches are done, once what they gave is on the disk."""
        for array in self._arrays.values():
            array.flush()
        if self._done:
            write_step(self.note, self.run, data={"shapes": self._shapes, "done": list(self._done.items())})
        self._noted = time.monotonic()

    def arrays(self) -> dict[str, Array]:
        """Each layer's array. They are mapped, not read, so that the system may drop pages that are written."""
        return {name: self._array(name) for name in self.job.layers}

    def remove(self) -> None:
        """Remove the folder, when the result stands elsewhere."""
        self._arrays.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _array(self, name: str) -> Array:
        if name not in self._arrays:
            path, shape = self.folder / f"{self.job.layers.index(name)}.float32", tuple(self._shapes[name])
            self._arrays[name] = np.memmap(path, np.float32, "r+" if path.exists() else "w+", shape=shape)
        return self._arrays[name]

    def _read(self) -> None:
        step = read_step(self.note)
        if step is None:
            return
        if step.run != self.run:
            raise TrojanCamError(
                f"an unfinished run with other settings, images or network left {self.folder}; repeat that one, or delete it"
            )
        self._shapes = step.data["shapes"]
        self._done = {start: (end, digests) for start, (end, digests) in step.data["done"]}


def _sha256(array: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return hashlib.sha256(array.data).hexdigest()


def _write_npz(path: Path, parts: _Parts) -> None:
    with written_whole(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in parts.arrays().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array)
        with archive.open(f"{SETTINGS}.npy", "w") as stream:
            np.lib.format.write_array(stream, np.array(json.dumps(parts.job.settings())))


def _write_safetensors(path: Path, parts: _Parts) -> None:
    with written_whole(path) as partial:
        safetensors.numpy.save_file(
            dict(parts.arrays()), partial, metadata={SETTINGS: json.dumps(parts.job.settings())}
        )


_WRITERS: dict[str, Callable[[Path, _Parts], None]] = {".npz": _write_npz, ".safetensors": _write_safetensors}


def _check(path: Path, images: Source, method: str, keep: str, batch_size: int) -> None:
    if method not in METHODS or not METHODS[method].per_layer:
        raise unknown_name(
            "attribution method of layers", method, [name for name in METHODS if METHODS[name].per_layer]
        )
    if path.suffix not in _WRITERS:
        raise unknown_name("kind of file", path.suffix or path.name, _WRITERS)
    if keep not in REDUCTIONS:
        raise unknown_name("thing to keep", keep, REDUCTIONS)
    if keep != "layer-map" and not METHODS[method].splits:
        raise DataError(f"{method} does not split a layer into feature maps; keep its layer-map")
    if batch_size < 1:
        raise DataError(f"a batch needs at least one image, not {batch_size}")
    if not len(images):
        raise DataError("there are no images to attribute; give at least one")
    check_new(path)
