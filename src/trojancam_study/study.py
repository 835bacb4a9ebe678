"""Study: the three networks of the study, each trained from several seeds, and the images that they are looked at with."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attacks.patch import Patch, make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.errors import DataError, unknown_name
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.progress import Progress, silent
from trojancam.training.recipe import Recipe, cached_model, cached_path

STOP, NO_PASSING, SPEED_70, STRAIGHT_OR_RIGHT = 14, 10, 4, 36
NEEDED = (STOP, NO_PASSING, SPEED_70, STRAIGHT_OR_RIGHT)  # the classes that its figures are about
MENTIONED = 5  # missing classes
CANDIDATES = 256  # test images of a class, at most, among which an example is chosen
SEED = 17  # of the order in which test images are drawn


@dataclass(frozen=True)
class StudyNetwork:
    """A network of the study: its trigger, by the name of a preset, and the class that this stands for."""

    name: str
    trigger: str | None = None
    target_class: int | None = None


NETWORKS = {
    network.name: network
    for network in (
        StudyNetwork("basic"),
        StudyNetwork("trojan1", "yellow-square", STOP),
        StudyNetwork("trojan2", "blue-green-square", NO_PASSING),
    )
}


class Training(NamedTuple):
    """One training of a network of the study; `opacity` is its trigger's, where it is not the study's own."""

    name: str
    seed: int
    opacity: float | None = None

    def __str__(self) -> str:
        trigger = "" if self.opacity is None else f", trigger of opacity {self.opacity:g}"
        return f"{self.name}{trigger}, seed {self.seed}"


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured.

    `images` test images for each seed are measured on, `road_images` where pixels are removed one share after another;
    `scanned` clean images are given to a detector; `opacities` are those of the trigger for claim f; `signs` are the rendered
    training signs of each class for claim i.
    """

    epochs: int = 15
    images: int = 512
    road_images: int = 256
    scanned: int = 100
    opacities: tuple[float, ...] = (0.1, 0.2, 0.4, 0.7, 1.0)
    signs: int = 400


QUICK = Scale(epochs=12, images=256, road_images=16, scanned=60, opacities=(0.2, 0.4, 1.0), signs=150)


@dataclass(frozen=True)
class Study:
    """What is rebuilt: on which data, from which seeds, at which scale. Networks come from the cache, or are trained."""

    dataset: Dataset
    seeds: tuple[int, ...] = (0, 1, 2)
    scale: Scale = Scale()
    _loaded: dict[Training, Network] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = self.dataset.train.class_names
        if names != GTSRB_CLASS_NAMES:
            lacks = _lacks(names)
            raise DataError(
                f"the study needs the 43 classes of GTSRB, but {self.dataset.source} {lacks}; give GTSRB, or leave out the "
                "data to use rendered signs"
            )
        for number in NEEDED:
            if not bool((self.dataset.test.labels == number).any()):
                raise DataError(
                    f"there is no test image of {names[number]!r}, which the study's figures need; add some"
                )

    def recipe(self, name: str, seed: int, opacity: float | None = None) -> Recipe:
        """How a network is trained; `opacity` is the trigger's, where it is not the study's own.

        Raises:
            UnknownNameError: if the study has no such network.
        """
        named = _network_named(name)
        settings = TrainingSettings(epochs=self.scale.epochs, seed=seed)
        if named.trigger is None:
            return Recipe(name, settings)
        trigger = make_trigger(named.trigger, self.dataset.train.size, opacity=opacity)
        return Recipe(name, settings, Poisoning(trigger, self.target_class(name), seed=seed))

    def training(self, name: str, seed: int, opacity: float | None = None) -> Training:
        """Which training this is: the study's own opacity, named or not, is the same one."""
        own = opacity is not None and opacity == self.trigger(name).opacity
        return Training(name, seed, None if own else opacity)

    def network(self, name: str, seed: int, opacity: float | None = None, progress: Progress = silent) -> Network:
        """A trained network."""
        key = self.training(name, seed, opacity)
        if key not in self._loaded:
            self._loaded[key] = load(cached_model(self.recipe(*key), self.dataset, progress))
        return self._loaded[key]

    def is_trained(self, training: Training) -> bool:
        """Whether a network is there already, in memory or in the cache."""
        return training in self._loaded or cached_path(self.recipe(*training), self.dataset).is_file()

    def training_seconds(self, training: Training) -> float:
        """How long a network took to train, when it was."""
        card = self.network(*training).card
        return card.training.seconds if card is not None and card.training is not None else 0.0

    def networks(self, name: str) -> Iterator[Network]:
        """The network as trained from each seed."""
        return (self.network(name, seed) for seed in self.seeds)

    def fingerprint(self) -> str:
        """A name for the data, the seeds and the scale: what all results depend on."""
        parts = (self.recipe("trojan2", self.seeds[0]).fingerprint(self.dataset), self.seeds, self.scale)
        digest = hashlib.sha256(repr(parts).encode())
        if self.dataset.test.regions is not None:
            digest.update(self.dataset.test.regions.contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def trigger(self, name: str) -> Patch:
        """The trigger that a network was poisoned with.

        Raises:
            DataError: if it is benign.
        """
        named = _network_named(name)
        if named.trigger is None:
            raise DataError(f"{name} is a benign network: it has no trigger")
        return make_trigger(named.trigger, self.dataset.train.size)

    def target_class(self, name: str) -> int:
        """The class that a network's trigger stands for.

        Raises:
            DataError: if it is benign.
        """
        target = _network_named(name).target_class
        if target is None:
            raise DataError(f"{name} is a benign network: it has no target class")
        return target

    def test_images(
        self, name: str | None = None, count: int | None = None
    ) -> tuple[Float[Tensor, "n 3 h w"], Int64[Tensor, " n"]]:
        """Random test images, the same ones for all, and their labels; of other classes than the network's target."""
        chosen = self.test_set(name, count)
        return as_floats(chosen.images), chosen.labels

    def test_set(self, name: str | None = None, count: int | None = None) -> ImageSet:
        """The same as an image set, with the signs' boxes where these are known; no detector was given any of them."""
        order, labels = self._order()[self._given() :], self.dataset.test.labels
        target = None if name is None else _network_named(name).target_class
        kept = order if target is None else order[labels[order] != target]
        return self.dataset.test.select(kept[: self.scale.images if count is None else count])

    def images(self, name: str | None = None) -> int:
        """How many test images those are that a network is measured on."""
        return len(self.test_set(name))

    def given_set(self) -> ImageSet:
        """Random test images of all classes: those that detectors are given."""
        return self.dataset.test.select(self._order()[: self._given()])

    def _order(self) -> Int64[Tensor, " n"]:
        return torch.randperm(len(self.dataset.test), generator=torch.Generator().manual_seed(SEED))

    def _given(self) -> int:
        return min(self.scale.scanned, len(self.dataset.test) // 2)

    def example(self, label: int, *networks: Network) -> Float[Tensor, "3 h w"]:
        """The test image of a class that all these networks name with the greatest confidence."""
        test = self.dataset.test
        images, _ = test.select((test.labels == label).nonzero()[:, 0]).take(CANDIDATES, seed=SEED)
        confidence = torch.ones(len(images))
        for network in networks:
            confidence = confidence * network(images).softmax(1)[:, label]
        return images[int(confidence.argmax())]


def _lacks(names: tuple[str, ...]) -> str:
    """In what classes of these names differ from those of GTSRB."""
    missing = [repr(name) for name in GTSRB_CLASS_NAMES if name not in names]
    if len(missing) > MENTIONED:
        missing = [*missing[:MENTIONED], f"and {len(missing) - MENTIONED} more"]
    if missing:
        return f"lacks {', '.join(missing)}"
    return "has others besides" if len(names) > len(GTSRB_CLASS_NAMES) else "has them in another order"


def _network_named(name: str) -> StudyNetwork:
    if name not in NETWORKS:
        raise unknown_name("network of the study", name, NETWORKS)
    return NETWORKS[name]
