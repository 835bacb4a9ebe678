"""Session: the models and images that are looked at, and what was computed of them lately; it knows nothing of the web."""

import itertools
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.attribution import METHODS, from_recording
from trojancam.attribution.attribution import FeatureMapAttribution
from trojancam.data.framing import frame
from trojancam.data.image_files import UnreadableImageError, rgb_image
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.detection.scanning import DEFAULT_METHODS, DETECTORS
from trojancam.errors import DataError, unknown_name
from trojancam.explore.caches import Cache
from trojancam.explore.models import Model, Peaks, Source
from trojancam.explore.refusals import UnknownError
from trojancam.explore.subjects import ImageChoice, Subject
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.placement import Axis
from trojancam.network.recording import Recording
from trojancam.opening.images import check_classes
from trojancam.version import __version__

CACHED = 128 * 2**20  # bytes of what was computed lately
IMAGES_KEPT, MODELS_KEPT = 64, 4  # of those that were uploaded
IMAGE_BYTES, MODEL_BYTES = 16 * 2**20, 512 * 2**20
GALLERY_BYTES = 2 * 2**30  # that the test images of a network may take

LoadImages = Callable[[Network], Dataset]


@dataclass(frozen=True)
class Seen:
    """What a network sees: an image in [0, 1], the trigger already on it; its label, where it is known.

    `key` names network and image, for what is computed of them.
    """

    model: Model
    image: Float[Tensor, "3 h w"]
    label: int | None
    trigger: Patch | None
    key: tuple[Any, ...]
    method: str = "grad-cam"

    @property
    def network(self) -> Network:
        """The network."""
        return self.model.network

    @property
    def title(self) -> str:
        """The method that explains, as people know it."""
        return METHODS[self.method].title

    def cams(self, recording: Recording, layers: Sequence[str] | None = None) -> Mapping[str, FeatureMapAttribution]:
        """What the method says of layers (all of them unless named) of a recording."""
        found = from_recording(recording, [self.method], layers)[self.method]
        return cast("Mapping[str, FeatureMapAttribution]", found)


@dataclass(frozen=True)
class Upload:
    """An image file that was sent: where it is kept, and what people call it."""

    path: Path
    name: str


class Session:
    """Models by identifier, images of the data set and uploaded ones, and a cache; many threads may use it at once.

    `load_images` gives the data set as a network wants it, and `data` is where it lies (None: rendered). What is uploaded is
    kept in a folder of the session's own, which `close` removes; of many uploads the oldest are forgotten.
    """

    def __init__(self, load_images: LoadImages, data: Path | None = None, cached: int = CACHED) -> None:
        self.data = data
        self.cache = Cache(cached)
        self.folder = Path(tempfile.mkdtemp(prefix="trojancam-explore-"))
        self.models: OrderedDict[str, Model] = OrderedDict()
        self.source = ""
        self.success_rates: dict[str, dict[str, dict[int, float]]] = {}  # by model, layer and map, as scans found them
        self._load_images = load_images
        self._galleries: dict[Any, ImageSet] = {}
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._numbers = {letter: itertools.count(1) for letter in "mu"}
        self._files = itertools.count(1)
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Remove what was uploaded."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, network: Network, source: Source, dataset: Dataset | None = None) -> Model:
        """Look at a network, too; the data set as it wants it is loaded, if it is not given.

        Raises:
            TrojanCamError: if the data set has other classes, or the network cannot be recorded.
        """
        images = self.images_for(network, dataset)
        check_classes(network, images)
        model = Model.of(f"m{next(self._numbers['m'])}", network, images, source)
        with self._lock:
            self.models[model.identifier] = model
            self._forget_old_models()
        self.forget_galleries()
        return model

    def model(self, identifier: str) -> Model:
        """The model of this identifier.

        Raises:
            UnknownError: if there is none, or no longer.
        """
        model = self.models.get(identifier)
        if model is None:
            known = ", ".join(self.models)
            raise UnknownError(
                f"there is no model {identifier!r} in this explorer (there are: {known}); open its file again, or choose another"
            )
        return model

    def seen(self, subject: Subject) -> Seen:
        """What the network of a subject sees.

        Raises:
            UnknownError: if there is no such model or image.
            TrojanCamError: if the class or the trigger do not fit.
        """
        model = self.model(subject.model)
        if subject.explain is not None and subject.explain >= len(model.network.class_names):
            raise unknown_name("class", subject.explain, [f"0 to {len(model.network.class_names) - 1}"])
        image, label = self._image(model, subject.image)
        trigger = subject.trigger.on(model.network.input.size) if subject.trigger else None
        if trigger is not None:
            image = trigger.apply(image[None])[0]
        key = (model.identifier, subject.image, subject.trigger)
        return Seen(model, image, label, trigger, key, given_method(subject.method))

    def peaks(self, model: Model) -> Peaks:
        """The clean peaks of a model's feature maps, measured once."""
        return self.cache.get((model.identifier, "peaks"), model.clean_peaks)

    def upload_image(self, content: bytes, name: str = "image") -> str:
        """Keep an image file's bytes, which people know by `name`; their identifier.

        Raises:
            DataError: if it is no image that can be read.
        """
        identifier = unlikely_twice(f"u{next(self._numbers['u'])}")
        path = self.folder / identifier
        path.write_bytes(content)
        try:
            _read(path, (32, 32), 1.0)
        except DataError:
            path.unlink()
            raise
        with self._lock:
            self._uploads[identifier] = Upload(path, name)
            while len(self._uploads) > IMAGES_KEPT:
                self._uploads.popitem(last=False)[1].path.unlink(missing_ok=True)
        return identifier

    def description(self) -> dict[str, Any]:
        """All that a page needs to begin: models, data, limits."""
        models = list(self.models.values())
        return {
            "version": __version__,
            "models": [described(model) for model in models],
            "data": {"source": self.source, "splits": {"test": len(models[0].images) if models else 0}},
            "methods": [{"name": name, "title": title} for name, title in explaining().items()],
            "searches": [{"name": name, "title": title} for name, title in searching().items()],
            "default_searches": list(DEFAULT_METHODS),
            "limits": {"upload_bytes": IMAGE_BYTES, "model_bytes": MODEL_BYTES},
        }

    def _image(self, model: Model, choice: ImageChoice) -> tuple[Float[Tensor, "3 h w"], int | None]:
        if choice.upload is not None:
            return self._uploaded(choice.upload, model.network.input), None
        index = choice.index or 0
        if index >= len(model.images):
            raise UnknownError(
                f"there is no test image {index}; there are {len(model.images):,}, counted from 0: choose one of these"
            )
        return as_floats(model.images.images[index : index + 1])[0], int(model.images.labels[index])

    def name_of(self, upload: str) -> str:
        """What people call an uploaded image.

        Raises:
            UnknownError: if it is no longer there.
        """
        return self._upload(upload).name

    def model_path(self, suffix: str) -> Path:
        """Where a model file that is being sent may be kept."""
        return self.folder / f"model-{next(self._files)}{suffix}"

    def _uploaded(self, identifier: str, wanted: InputSpecification) -> Float[Tensor, "3 h w"]:
        path, size, share = self._upload(identifier).path, wanted.size, wanted.crop
        pixels = self.cache.get(("upload", identifier, size, share), lambda: _read(path, size, share))
        return as_floats(pixels[None])[0]

    def _upload(self, identifier: str) -> "Upload":
        upload = self._uploads.get(identifier)
        if upload is None:
            raise UnknownError("the image that was opened is no longer there; open its file again")
        return upload

    def images_for(self, network: Network, dataset: Dataset | None = None) -> ImageSet:
        """The test images as a network wants them, loaded if they are not given and not there.

        Raises:
            DataError: if they cannot be read so, are of other classes, or would take too much memory.
        """
        key = (network.input.size, network.input.crop, network.input.region, network.class_names)
        with self._loading:
            if key not in self._galleries:
                if dataset is None:
                    self._check_before_loading(network)
                loaded = dataset or self._load_images(network)
                self._galleries[key] = self._galleries[*key[:3], loaded.test.class_names] = loaded.test
                self.source = self.source or loaded.source
            return self._galleries[key]

    def forget_galleries(self) -> None:
        """Let go of test images that no model is shown."""
        with self._loading:
            shown = {id(model.images) for model in list(self.models.values())}
            self._galleries = {key: images for key, images in self._galleries.items() if id(images) in shown}

    def dataset(self, model: Model) -> Dataset:
        """The data set of a model that is there already, for one that is fed as it is."""
        return Dataset(model.images, model.images, self.source)

    def _check_before_loading(self, network: Network) -> None:
        """Refuse what can be refused without the network's own test images, from those of other networks."""
        known = next(iter(self._galleries.values()), None)
        if known is None:
            return
        check_classes(network, known)
        height, width = network.input.size
        needed = len(known) * 3 * height * width
        if needed > GALLERY_BYTES:
            raise DataError(
                f"the network takes images of {height}x{width} pixels, and {len(known):,} test images of that size need "
                f"{needed / 2**30:,.1f} GB, more than the {GALLERY_BYTES / 2**30:,.1f} GB that are taken here; open a network "
                "for smaller images, or start the explorer with fewer test images"
            )

    def _forget_old_models(self) -> None:
        uploaded = [model for model in self.models.values() if model.source.uploaded]
        for model in uploaded[:-MODELS_KEPT]:
            del self.models[model.identifier]
            self.success_rates.pop(model.identifier, None)
            self.cache.forget(lambda key, gone=model.identifier: isinstance(key, tuple) and gone in (key[0], key[1]))  # type: ignore[misc]
            model.source.path.unlink(missing_ok=True)


def explaining() -> dict[str, str]:
    """The methods that need nothing but a recording and say what each feature map does, by name, with their titles.

    >>> explaining()["layercam"]
    'LayerCAM'
    """
    return {name: method.title for name, method in METHODS.items() if method.splits and method.from_recording}


def searching() -> dict[str, str]:
    """What a scan may look for, by the name of the search, with its title and the triggers that it finds.

    >>> searching()["stripes"]
    'Smallest stripes (stripes)'
    """
    found = {
        name: search.families if "every-class" in search.victims else search.victims
        for name, search in DETECTORS.items()
    }
    return {name: f"{search.title} ({', '.join(found[name])})" for name, search in DETECTORS.items()}


def given_method(name: str) -> str:
    """The name, if there is such a method here.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in explaining():
        raise unknown_name("method", name, explaining())
    return name


def described(model: Model) -> dict[str, Any]:
    """What a page needs to know of a model."""
    trigger, network = model.recorded_trigger, model.network
    told = trigger and trigger.placed.model_dump(mode="json") | {"target": trigger.target_class, "name": trigger.name}
    return {
        "id": model.identifier,
        "name": model.source.name,
        "fingerprint": network.fingerprint[:8],
        "architecture": network.name,
        "classes": list(network.class_names),
        "size": list(network.input.size),
        "layers": [
            {
                "name": layer.name,
                "feature_maps": layer.feature_maps,
                "size": list(layer.size),
                "placement": {"rows": _axis(layer.placement.rows), "columns": _axis(layer.placement.columns)},
            }
            for layer in network.layers.values()
        ],
        "notes": list(model.notes),
        "recorded_trigger": told,
    }


def unlikely_twice(identifier: str) -> str:
    """An identifier with a random part, so that a link to it shows nothing else when the explorer has been started again."""
    return f"{identifier}-{secrets.token_hex(3)}"


def _axis(axis: Axis) -> dict[str, float]:
    """Where the centres of cells lie, in pixels: `offset + stride * i`, 0 being the centre of the first pixel."""
    return {"stride": axis.stride, "offset": axis.offset}


def _read(path: Path, size: tuple[int, int], share: float) -> UInt8[Tensor, "3 h w"]:
    """An uploaded image in a frame; errors do not name the file, which only the explorer knows."""
    try:
        image = rgb_image(path)
    except UnreadableImageError as error:
        raise DataError(f"the file cannot be read as an image: {error.reason}; {error.advice}") from None
    return torch.from_numpy(np.array(frame(size, share).cut(image))).permute(2, 0, 1).contiguous()
