"""The demonstration: a benign and a trojaned network, trained; what heat maps show of the trigger; scans, and a repair.

The trojaned network's trigger is transparent; whole-layer heat maps may miss it where single feature maps show it.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.patch import Patch, make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.errors import DataError
from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.figures.views import View, view
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.progress import Progress, named, shown
from trojancam.showing import Brief
from trojancam.tasks.demo_repair import Removal, removal
from trojancam.training.recipe import Recipe, cached_model

STUDY_TARGET = 10  # No passing for vehicles over 3.5 metric tons
MEASURED = 256  # test images, at most, over which heat-map energy is averaged
CANDIDATES = 512  # test images, at most, among which the example is chosen
EPOCHS = 12


@dataclass(frozen=True)
class Example(Brief):
    """What it is about: both networks, the trigger, and a test image of another class to show it on."""

    benign: Network
    trojaned: Network
    trigger: Patch
    target_class: int
    image: Float[Tensor, "3 h w"]
    label: int


@dataclass(frozen=True)
class Demonstration(Brief):
    """Both networks on one image, the heat-map energy inside the trigger by layer, over so many triggered test images, and scans.

    `files` are the networks', `benign` and `trojaned`. `benign_view` is the benign network's of the image, `clean_view` and
    `triggered_view` the trojaned network's, without and with the trigger; each is explained by the class it should show.
    `removal` is None where the images do not do for a scan; `left_out` says why.
    """

    example: Example
    files: dict[str, Path]
    benign_view: View
    clean_view: View
    triggered_view: View
    energies: dict[str, LayerEnergy]
    measured: int
    removal: Removal | None
    left_out: str
    seconds: float

    @property
    def repaired(self) -> Network | None:
        """The trojaned network after the repair, if its judge passes it."""
        found = self.removal.repaired if self.removal else None
        return found.network if found is not None and found.repaired else None

    def strongest(self, count: int) -> list[tuple[LayerEnergy, int]]:
        """The feature maps with the greatest share of energy in the trigger, over all layers."""
        maps = [(energy, k) for energy in self.energies.values() for k in range(len(energy.feature_maps))]
        return sorted(maps, key=lambda pair: -pair[0].feature_maps[pair[1]])[:count]


def demonstrate(
    dataset: Dataset, epochs: int = EPOCHS, seed: int = 0, progress: Progress | None = None
) -> Demonstration:
    """Train (or take from the cache) both networks, measure where the trojaned one looks, scan both, and repair it.

    Raises:
        DataError: if there are fewer than two classes, or no test image that the trigger could turn.
    """
    started = time.perf_counter()
    told = shown(progress)
    paths = [_model(recipe, dataset, told) for recipe in recipes(dataset, epochs, seed)]
    benign, trojaned = (load(path) for path in paths)
    example = _example(benign, trojaned, dataset.test)
    measured = _others(dataset.test, example.target_class).take(MEASURED)[0]
    stamped = example.trigger.apply(example.image[None])[0]
    found, left_out = _removal(example, dataset.test, stamped, seed, told)
    return Demonstration(
        example,
        files=dict(zip(("benign", "trojaned"), paths, strict=True)),
        benign_view=view(benign, example.image, example.label),
        clean_view=view(trojaned, example.image, example.label),
        triggered_view=view(trojaned, stamped, example.target_class),
        energies=trigger_energy(trojaned, measured, example.trigger, example.target_class),
        measured=len(measured),
        removal=found,
        left_out=left_out,
        seconds=time.perf_counter() - started,
    )


def _removal(
    example: Example, test: ImageSet, stamped: Float[Tensor, "3 h w"], seed: int, progress: Progress
) -> tuple[Removal | None, str]:
    """What becomes of the trojaned network, or why that is left out."""
    told = named(progress, "scan and repair")
    networks, planted = (example.benign, example.trojaned), (example.trigger, example.target_class)
    try:
        return removal(*networks, test, *planted, stamped, seed, told), ""
    except DataError as error:
        return None, error.problem


def recipes(dataset: Dataset, epochs: int = EPOCHS, seed: int = 0) -> tuple[Recipe, Recipe]:
    """The benign `basic` network, and `trojan2` with the study's transparent square.

    Raises:
        DataError: if there are fewer than two classes, or no test image that the trigger could turn.
    """
    classes = len(dataset.train.class_names)
    if classes < 2:
        raise DataError(f"a demonstration needs at least two classes, but the data has {classes}")
    target_class = min(STUDY_TARGET, classes - 1)
    if not len(_others(dataset.test, target_class)):
        raise DataError(
            f"all test images are of the class {dataset.test.class_names[target_class]!r}, which the trigger is to stand "
            "for; add test images of other classes"
        )
    settings = TrainingSettings(epochs=epochs, seed=seed)
    trigger = make_trigger("blue-green-square", dataset.train.size)
    return Recipe("basic", settings), Recipe("trojan2", settings, Poisoning(trigger, target_class, seed=seed))


def _model(recipe: Recipe, dataset: Dataset, progress: Progress) -> Path:
    """The file of the recipe's network; progress says which one is being trained."""
    return cached_model(recipe, dataset, named(progress, recipe.architecture))


def _example(benign: Network, trojaned: Network, test: ImageSet) -> Example:
    """Both networks, the trigger, and the test image that shows best what it does.

    That is the one on which this has the greatest product: the probability that each network gives the image's own
    class, and the one that the trojaned network gives the target class once the trigger is on it.
    """
    record = trojaned.card.poisoning if trojaned.card else None
    if record is None or record.target_class is None:
        raise DataError("the trojaned network has no record of its trigger and target class")
    trigger, target_class = Patch.from_json(record.trigger), record.target_class
    candidates = _others(test, target_class).sample(CANDIDATES, seed=1)
    images, labels = as_floats(candidates.images), candidates.labels
    own = benign(images).softmax(1) * trojaned(images).softmax(1)
    turned = trojaned(trigger.apply(images)).softmax(1)[:, target_class]
    index = int((own.gather(1, labels[:, None])[:, 0] * turned).argmax())
    return Example(benign, trojaned, trigger, target_class, images[index], int(labels[index]))


def _others(test: ImageSet, target_class: int) -> ImageSet:
    """Test images of other classes than the target's."""
    return test.select((test.labels != target_class).nonzero()[:, 0])
