"""Explaining images: what a network makes of each, with Grad-CAM of the layers asked for, one batch at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.attribution import INPUT, METHODS, Attribution, attribute, grad_cam
from trojancam.data.image_files import image_files, read_image, read_images, system_errors
from trojancam.data.image_set import as_floats
from trojancam.errors import DataError, unknown_name
from trojancam.network import given
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.tasks.results import on_processor

BATCH = 32  # images at a time, at most: the first ones are soon there

Images = Float[Tensor, "n 3 h w"] | UInt8[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class ExplainSettings:
    """Which layers (all unless named), which class (None: the predicted one), and what is stamped on the images first.

    `methods` are names of attribution methods that give one map of the whole network, beside the layers' Grad-CAM.
    """

    layers: tuple[str, ...] = ()
    target_class: int | None = None
    trigger: Trigger | None = None
    methods: tuple[str, ...] = ()

    def check(self, network: Network) -> None:
        """Refuse what does not fit the network.

        Raises:
            UnknownNameError: if it has no such class or layer, or there is no such method of the whole network.
            DataError: if the trigger is made for images of another size.
            ModelError: if a method cannot work with it.
        """
        for name in self.methods:
            if name not in METHODS or METHODS[name].per_layer:
                known = [each for each, method in METHODS.items() if not method.per_layer]
                raise unknown_name("attribution method of the whole network", name, known)
            METHODS[name].check(network)
        if self.trigger and self.trigger.image_size != network.input.size:
            raise DataError(
                f"the trigger is made for images of {self.trigger.image_size}, the network takes {network.input.size}"
            )
        if self.target_class is not None and not 0 <= self.target_class < len(network.class_names):
            raise unknown_name("class", self.target_class, range(len(network.class_names)))
        for name in self.layers:
            network.layer(name)


@dataclass(frozen=True)
class Explanation:
    """What a network makes of one image, and the heat maps that explain a class.

    `image` is as the network saw it, the trigger on it where there is one, and `changed` where that changed it. Of the
    `attributions`, one for each layer, row `index` is this image's; likewise of `whole`, the maps of further methods by name.
    """

    name: str
    image: Float[Tensor, "3 h w"]
    logits: Float[Tensor, " classes"]
    explained_class: int
    class_names: tuple[str, ...]
    attributions: Mapping[str, Attribution]
    index: int
    changed: Bool[Tensor, "h w"] | None = None
    whole: Mapping[str, Attribution] = field(default_factory=dict)

    @property
    def predicted_class(self) -> int:
        """The class with the greatest logit."""
        return int(self.logits.argmax())

    @cached_property
    def probabilities(self) -> Float[Tensor, " classes"]:
        """Of all classes, summed in 64 bits."""
        return self.logits.double().softmax(0)

    def __repr__(self) -> str:
        seen, shown = self.class_names[self.predicted_class], self.class_names[self.explained_class]
        return (
            f"Explanation({self.name}: predicted {seen!r}, explained {shown!r}, layers: {', '.join(self.attributions)})"
        )


class Explanations(Sequence[Explanation]):
    """Explained images, worked out as they are asked for, a batch at a time: any number of them fit into memory.

    `left_out` are the files that could not be read, as lines `file: reason`.
    """

    def __init__(
        self,
        network: Network,
        images: Images,
        names: Sequence[str | Path],
        settings: ExplainSettings,
        left_out: tuple[str, ...] = (),
    ) -> None:
        settings.check(network)
        self.network, self.settings, self.left_out = network, settings, left_out
        self.names = tuple(map(str, names))
        self._images = images
        self._rows = min(BATCH, network.rows(gradients=True))
        self._last: tuple[int, list[Explanation]] = (-1, [])

    def __repr__(self) -> str:
        layers = ", ".join(self.settings.layers or self.network.layers)
        return f"Explanations({len(self)} images by {self.network.name}, layers: {layers})"

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Explanation: ...

    @overload
    def __getitem__(self, place: slice) -> list[Explanation]: ...

    def __getitem__(self, place: int | slice) -> Explanation | list[Explanation]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        start = number - number % self._rows
        if self._last[0] != start:
            self._last = -1, []  # one batch at a time
            self._last = start, list(self._batch(start))
        return self._last[1][number - start]

    def _batch(self, start: int) -> Iterator[Explanation]:
        images, network, target = self._images[start : start + self._rows], self.network, self.settings.target_class
        images = images if images.is_floating_point() else as_floats(images)
        changed = None
        if self.settings.trigger:
            changed, images = self.settings.trigger.changed(images), self.settings.trigger.apply(images)
        recording = on_processor(record(network, images, logit(target), self.settings.layers or None))
        cams, whole = grad_cam(recording), {}
        if self.settings.methods:
            found = on_processor(attribute(network, images, self.settings.methods, logit(target), ()))
            whole = {name: maps[INPUT] for name, maps in found.items()}
        for index, image in enumerate(images):
            logits = recording.logits[index]
            yield Explanation(
                name=self.names[start + index],
                image=image,
                logits=logits,
                explained_class=int(logits.argmax()) if target is None else target,
                class_names=network.class_names,
                attributions=cams,
                index=index,
                changed=None if changed is None else changed[index],
                whole=whole,
            )


def explain(
    network: Network,
    images: given.GivenImages | str | Path | Sequence[str | Path],
    *,
    layers: given.GivenNames = (),
    target: given.GivenClass | None = None,
    trigger: Trigger | None = None,
    methods: given.GivenNames = (),
) -> Explanations:
    """What a network makes of images, with the Grad-CAM of each layer, or of those named.

    Images are a tensor, an array or a list of them, or image files and folders of these. The maps explain the `target` class,
    by number or name, or the class predicted for each image. With a `trigger`, it is stamped on the images first. `methods` name
    what else explains the network as a whole: `saliency`, `occlusion`, `lime`; of a transformer `attention-rollout`, `legrad`.

    Raises:
        DataError: if no file can be read, or the trigger is made for images of another size.
        UnknownNameError: if the network has no such layer or class, or there is no such method.
        ModelError: if the images are of another size or range than the network takes, or a method cannot work with it.

    >>> import torch
    >>> from torch import nn
    >>> net = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> explained = explain(net, torch.rand(5, 3, 8, 8), target=1)
    >>> len(explained), explained[4].explained_class, explained[4].attributions["0"].heatmap().shape
    (5, 1, torch.Size([5, 8, 8]))
    """
    settings = ExplainSettings(
        (layers,) if isinstance(layers, str) else tuple(layers),
        None if target is None else given.target_class(network, target),
        trigger,
        (methods,) if isinstance(methods, str) else tuple(methods),
    )
    files = [images] if isinstance(images, str | Path) else images
    if isinstance(files, Sequence):
        paths = [Path(file) for file in files if isinstance(file, str | Path)]
        if paths and len(paths) == len(files):
            return explained_files(network, find_images(paths), settings)
    shown = given.images(network, images)
    return Explanations(network, shown, [f"image {number + 1}" for number in range(len(shown))], settings)


def explained_files(network: Network, files: Sequence[Path], settings: ExplainSettings) -> Explanations:
    """The image files explained; those that cannot be read are left out, and listed.

    Raises:
        DataError: if none of them can be read, or the trigger is made for images of another size.
        UnknownNameError: if the network has no such layer or class.
    """
    settings.check(network)
    images, good, broken = _read(files, network.input)
    return Explanations(network, images, good, settings, broken)


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and of each folder the image files in it.

    Raises:
        DataError: if a folder holds no image, or may not be read.
    """
    files: list[Path] = []
    for path in paths:
        with system_errors():
            found = image_files(path) if path.is_dir() else [path]
        if not found:
            raise DataError(f"the folder {path} holds no image; give image files, or a folder of them")
        files += found
    return files


def _read(
    files: Sequence[Path], shown: InputSpecification
) -> tuple[UInt8[Tensor, "n 3 h w"], tuple[Path, ...], tuple[str, ...]]:
    """As `read_images`; what is wrong with the only file is said in full, with the remedy."""
    if len(files) == 1:
        return read_image(files[0], shown.size, shown.crop)[None], (files[0],), ()
    return read_images(files, shown.size, shown.crop)
