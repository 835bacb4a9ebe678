"""Streaming: attributions of any number of images into one file, in bounded memory, resumable after a kill.

Each batch is written into arrays on disk as it is done; when the last one is, they become one `.npz` or `.safetensors`
file with the settings inside.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.attributing import attribute
from trojancam.attribution.attribution import Attribution
from trojancam.attribution.methods import METHODS
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, TrojanCamError, unknown_name
from trojancam.files import writable_folder, written_whole
from trojancam.network.network import Network
from trojancam.network.targets import Target, logit
from trojancam.progress import Progress, silent
from trojancam.version import __version__

SETTINGS = "settings"  # the name of the settings in either kind of file
Reduction = Callable[[Attribution], Float[Tensor, "n ..."]]

REDUCTIONS: dict[str, Reduction] = {
    "contributions": lambda attribution: attribution.contributions,
    "energy": lambda attribution: attribution.feature_maps().sum((2, 3)),
    "layer-map": lambda attribution: attribution.layer_map(),
}
"""What is kept of each layer: everything (n k h w), the energy of each feature map (n k), or the layer's map (n h w)."""


@dataclass(frozen=True)
class _Job:
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
    images: ImageSet,
    path: str | Path,
    method: str = "grad-cam",
    target: Target | None = None,
    layers: Iterable[str] | None = None,
    keep: str = "contributions",
    batch_size: int = 64,
    progress: Progress = silent,
) -> Path:
    """Attribute all images and write one array for each layer to `path` (`.npz` or `.safetensors`), settings inside.

    `keep` names what is kept of a layer: `contributions` (n k h w), `energy` of each feature map (n k), or `layer-map`
    (n h w). Memory holds one batch; a run that was killed goes on where it stopped when it is called again.

    Raises:
        UnknownNameError: if the method, a layer, what to keep, or the kind of file does not exist.
        DataError: if there are no images, or batches of none.
        TrojanCamError: if the file exists or cannot be written, or an unfinished run on other images, or with another
            network or other settings, left its folder there.
    """
    path = Path(path)
    _check(path, images, method, keep, batch_size)
    target = target or logit()
    names = tuple(network.layer(name).name for name in (network.layers if layers is None else dict.fromkeys(layers)))
    job = _Job(len(images), method, target.name, names, keep, network.name, _fingerprint(network, images))
    parts = _Parts(path.with_name(path.name + ".partial"), job)
    for start in range(parts.done(), len(images), batch_size):
        batch = as_floats(images.images[start : start + batch_size])
        found = attribute(network, batch, (method,), target, names, seed=start)[method]
        parts.add(start, {name: REDUCTIONS[keep](found[name]) for name in names})
        progress(min(start + batch_size, len(images)), len(images), "attributing")
    _WRITERS[path.suffix](path, parts)
    parts.remove()
    return path


def read_stream(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The settings and the arrays, by layer, of a file that `stream` wrote.

    Raises:
        DataError: if it is missing, damaged, or not such a file.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return json.loads(str(arrays.pop(SETTINGS))), arrays
        with safetensors.safe_open(path, framework="np") as file:
            return json.loads(file.metadata()[SETTINGS]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is not a whole file of attributions ({error}); write it with stream()") from None


class _Parts:
    """Arrays on disk, one for each layer, filled from the front; and a note of how far they are filled."""

    def __init__(self, folder: Path, job: _Job) -> None:
        self.folder, self.job = writable_folder(folder), job
        note = self._note()
        if note is not None and note["settings"] != job.settings():
            raise TrojanCamError(
                f"an unfinished run with other settings, images or network left {folder}; repeat that one, or delete it"
            )

    def done(self) -> int:
        """How many images are done."""
        note = self._note()
        return int(note["done"]) if note else 0

    def add(self, start: int, values: dict[str, Tensor]) -> None:
        """Write a batch into its place, and only then note it down."""
        for name, value in values.items():
            array = self._array(name, (self.job.images, *value.shape[1:]))
            array[start : start + len(value)] = value.numpy()
            array.flush()
        end = start + len(next(iter(values.values())))
        with written_whole(self.folder / "done.json") as partial:
            partial.write_text(json.dumps({"settings": self.job.settings(), "done": end}), encoding="utf-8")

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each layer's name and the `.npy` file of its array."""
        for index, name in enumerate(self.job.layers):
            yield name, self.folder / f"{index}.npy"

    def remove(self) -> None:
        """Remove the folder, when the result stands elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _array(self, name: str, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float32]]:
        path = dict(self.files())[name]
        if path.exists() and self.done():
            return np.lib.format.open_memmap(path, mode="r+")
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def _note(self) -> dict[str, Any] | None:
        try:
            note: dict[str, Any] = json.loads((self.folder / "done.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note


def _write_npz(path: Path, parts: _Parts) -> None:
    with written_whole(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, file in parts.files():
            archive.write(file, f"{name}.npy")
        with archive.open(f"{SETTINGS}.npy", "w") as stream:
            np.lib.format.write_array(stream, np.array(json.dumps(parts.job.settings())))


def _write_safetensors(path: Path, parts: _Parts) -> None:
    """The arrays are mapped, not read, so that the system may drop pages that are written."""
    arrays = {name: np.load(file, mmap_mode="r") for name, file in parts.files()}
    with written_whole(path) as partial:
        safetensors.numpy.save_file(arrays, partial, metadata={SETTINGS: json.dumps(parts.job.settings())})


_WRITERS: dict[str, Callable[[Path, _Parts], None]] = {".npz": _write_npz, ".safetensors": _write_safetensors}


def _fingerprint(network: Network, images: ImageSet) -> str:
    """A name for what is attributed: the network, not only what it is called, and the images, not only how many."""
    digest = hashlib.sha256(network.fingerprint.encode())
    digest.update(images.images.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _check(path: Path, images: ImageSet, method: str, keep: str, batch_size: int) -> None:
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
    if path.exists():
        raise TrojanCamError(f"{path} exists already; remove it or choose another name")
