"""Training a network of the catalogue, clean or with a backdoor: checked before any image is read, then made and written."""

from dataclasses import dataclass
from pathlib import Path

from trojancam.architectures import architecture
from trojancam.attacks.attack import Attack, DataAttack
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.data import Dataset, class_index, load_dataset
from trojancam.errors import DataError
from trojancam.locks import only_run_on
from trojancam.network.card import ModelCard, TrainingSettings
from trojancam.network.devices import device_named
from trojancam.network.input import Region
from trojancam.progress import Progress, silent
from trojancam.showing import Brief
from trojancam.training.recipe import Recipe, check_outputs, check_parent, make_model

ALL, ALL_TO_ALL = "all", "all-to-all"
RATE = 0.1  # of the victims' images, that a trigger of its own poisons


@dataclass(frozen=True, kw_only=True)
class BackdoorPlan:
    """What is to be planted: a trigger, or an attack that brings its own, or neither; for which class, on whose images.

    `target` is a class by number or name, `victims` are `all`, `all-to-all`, or classes with commas between; `poison_rate` is
    the share of the victims' images in [0, 1] (None: a tenth, or the attack's own).
    """

    trigger: Trigger | None = None
    attack: Attack | None = None
    target: str | None = None
    victims: str = ALL
    poison_rate: float | None = None

    def goal(self, names: tuple[str, ...], size: tuple[int, int], seed: int) -> Goal:
        """What the backdoor is to reach on images of these classes and this size.

        Raises:
            DataError: if there is a target although each class has its own.
            UnknownNameError: if a class does not exist.
        """
        if self.victims == ALL_TO_ALL:
            if self.target is not None:
                raise DataError("all-to-all, each class has a target of its own; leave out the target")
            return Goal(None, size, seed, poison_rate=self.poison_rate)
        aim = None if self.target is None else class_index(self.target, names)
        named = () if self.victims == ALL else self.victims.split(",")
        sources = tuple(sorted({class_index(each, names) for each in named}))
        return Goal(aim, size, seed, sources, poison_rate=self.poison_rate)

    def poisoning(self, goal: Goal) -> Poisoning | None:
        """What is done to the training set; None if nothing is, or an attack changes the trained network instead."""
        if isinstance(self.attack, DataAttack):
            return self.attack.poisoning(goal)
        if self.trigger is None:
            return None
        rate = RATE if self.poison_rate is None else self.poison_rate
        return Poisoning(self.trigger, goal.target_class, rate, goal.seed, goal.sources)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(Brief):
    """Which network is trained how, with which backdoor, where, and into which file.

    `parent` is a model file whose weights it begins with; with `resume`, an unfinished run of the same plan is continued. With
    the `region` `roi`, GTSRB's images are cut to their signs. `image_size` is height and width, for networks of any size (None:
    the network's own).
    """

    architecture: str
    out: Path
    settings: TrainingSettings
    backdoor: BackdoorPlan = BackdoorPlan()
    parent: Path | None = None
    resume: bool = False
    device: str = "cpu"
    region: Region = "whole"
    image_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's images.

        Raises:
            UnknownNameError: if there is no such architecture.
        """
        return self.image_size or architecture(self.architecture).input.size

    def check(self) -> None:
        """Refuse what would fail after minutes of preparing data.

        Raises:
            UnknownNameError: if the architecture does not exist.
            DataError: if it does not take images of this size.
            ModelError: if this machine lacks the device, or the parent is no network of this architecture.
            TrojanCamError: if the file exists or cannot be written, or another run makes it.
        """
        architecture(self.architecture).check_size(self.architecture, self.size)
        device_named(self.device)
        if self.parent is not None:
            check_parent(self.parent, self.architecture)
        with only_run_on(self.out):
            check_outputs(self.out, self.resume)

    def images(self, data: Path | None = None, *, progress: Progress = silent) -> Dataset:
        """Labelled images of the network's size; rendered signs without `data`.

        Raises:
            DataError: if they cannot be read.
        """
        return load_dataset(data, size=self.size, crop=self.region == "roi", progress=progress)

    def recipe(self, dataset: Dataset) -> Recipe:
        """How the network is made from these images.

        Raises:
            DataError: if the attack cannot reach the goal, or its trigger does not fit the images.
            UnknownNameError: if the target or a victim's class does not exist.
        """
        goal = self.backdoor.goal(dataset.train.class_names, self.size, self.settings.seed)
        poisoning = self.backdoor.poisoning(goal)
        attack = self.backdoor.attack
        return Recipe(
            self.architecture, self.settings, poisoning, self.parent, attack, goal, self.region, self.image_size
        )


def train(plan: TrainingPlan, dataset: Dataset, progress: Progress | None = None) -> ModelCard:
    """Train the network of a plan on labelled images and write its model file; the record in it.

    A checkpoint is kept beside the file after each epoch.

    Raises:
        DataError, UnknownNameError: as `TrainingPlan.recipe`.
        TrojanCamError: if the file exists or cannot be written, or the loss is no longer finite.

    >>> import tempfile
    >>> from trojancam.data import rendered_signs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = TrainingSettings(epochs=1, batch_size=43)
    ...     plan = TrainingPlan(architecture="basic", out=Path(folder, "basic.safetensors"), settings=settings)
    ...     card = train(plan, rendered_signs(86, 43))
    >>> card.architecture, len(card.training.history)
    ('basic', 1)
    """
    return make_model(plan.recipe(dataset), dataset, plan.out, plan.resume, progress, device_named(plan.device))
