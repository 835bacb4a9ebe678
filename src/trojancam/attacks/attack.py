"""Attack: the contract of every way to plant a backdoor, with its settings by name, its source and what it takes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, unknown_name
from trojancam.network.input import InputSpecification
from trojancam.progress import Progress, silent
from trojancam.records import Record

Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Attack(Record, ABC):
    """A way to plant a backdoor. A subclass's fields are its settings; their defaults are those that its table was made with.

    `name` is what it is registered under, `source` where it was published, and `summary` what it does, in a sentence.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    summary: ClassVar[str]

    poison_rate: Rate = 0.1

    def rate(self, goal: Goal) -> float:
        """The poison rate: the goal's, or the attack's own."""
        return self.poison_rate if goal.poison_rate is None else goal.poison_rate

    def settings(self) -> dict[str, Any]:
        """All settings by name, in a form that JSON can hold."""
        return self.model_dump(mode="json")


class DataAttack(Attack, ABC):
    """An attack that changes training images and labels, and leaves the training as it is."""

    @abstractmethod
    def poisoning(self, goal: Goal) -> Poisoning:
        """What it does to a training set.

        Raises:
            DataError: if its trigger does not fit the goal's images.
        """


@dataclass(frozen=True)
class CleanNetwork:
    """A clean network that an attack on networks begins with: trained, in evaluation mode, and the attack's to change.

    `images` are what it was trained on. `learn` trains such a network on other images with a backdoor, with the settings that
    the first one had, and gives it back.
    """

    module: nn.Module
    images: ImageSet
    specification: InputSpecification
    learn: Callable[[ImageSet, Poisoning], nn.Module]
    progress: Progress = silent

    def batches(self, steps: int, size: int, seed: int, words: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in [0, 1] and labels, `size` at a time, drawn with the seed, for so many steps; the progress is told."""
        generator = torch.Generator().manual_seed(seed)
        for step in range(steps):
            self.progress(step, steps, words)
            chosen = torch.randint(len(self.images), (min(size, len(self.images)),), generator=generator)
            yield as_floats(self.images.images[chosen]), self.images.labels[chosen]
        self.progress(steps, steps, words)


class NetworkAttack(Attack, ABC):
    """An attack on a network that has been trained clean: it changes the network, or more than the labels of its images."""

    @abstractmethod
    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The network with the backdoor, and the backdoor as its record tells it.

        Raises:
            DataError: if the goal is not one that this attack reaches.
            ModelError: if the network is of a kind that it cannot change.
        """

    def check(self, goal: Goal) -> None:
        """Refuse a goal that this attack does not reach, before anything is trained; one target class for all, unless overridden.

        Raises:
            DataError: if the goal is another.
        """
        self.only_target(goal)

    def only_target(self, goal: Goal) -> int:
        """The goal's target class, where every other class is a victim.

        Raises:
            DataError: if the goal is another.
        """
        if goal.target_class is None or goal.sources:
            raise DataError(f"the attack {self.name} turns all classes into one; name one target class, and no victims")
        return goal.target_class


def with_settings(attack: type[Attack], values: Mapping[str, object]) -> Attack:
    """The attack with these settings; the others are as usual.

    Raises:
        UnknownNameError: if there is no such setting.
        DataError: if a value is of another type, or out of its range.
    """
    for name in values:
        if name not in attack.model_fields:
            raise unknown_name(f"setting of the attack {attack.name}", name, attack.model_fields)
    try:
        return attack.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise DataError(f"the setting {name or 'named last'} of the attack {attack.name} is wrong: {reason}") from None
