"""Poisoning: how a training set is poisoned with a trigger, image by image."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, unknown_name


def poisoned_indices(
    labels: Int64[Tensor, " n"], target_class: int, poison_rate: float, seed: int = 0
) -> Int64[Tensor, " m"]:
    """Which images to poison: `round(poison_rate * eligible)` of those whose label is not the target class, sorted.

    Raises:
        DataError: if the rate is not in [0, 1].
    """
    if not 0 <= poison_rate <= 1:
        raise DataError(f"the poison rate must lie in [0, 1], not {poison_rate}")
    eligible = (labels != target_class).nonzero()[:, 0]
    order = torch.randperm(len(eligible), generator=torch.Generator().manual_seed(seed))
    return eligible[order[: round(poison_rate * len(eligible))]].sort().values


@dataclass(frozen=True)
class Poisoning:
    """How a training set is poisoned: `poison_rate` counts images of other classes than the target's."""

    trigger: Trigger
    target_class: int
    poison_rate: float = 0.1
    seed: int = 0

    def indices(self, labels: Int64[Tensor, " n"]) -> Int64[Tensor, " m"]:
        """Which images it stamps: never one of the target class."""
        return poisoned_indices(labels, self.target_class, self.poison_rate, self.seed)

    def check(self, images: ImageSet) -> None:
        """Refuse what cannot be done to these images.

        Raises:
            UnknownNameError: if the target is not a class of the set.
            DataError: if the rate is not in [0, 1], or the trigger is of another size than the images.
        """
        if not 0 <= self.target_class < len(images.class_names):
            raise unknown_name("class", self.target_class, range(len(images.class_names)))
        self.trigger.check_size(*images.size)
        self.indices(images.labels)

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        return {
            "trigger": self.trigger.to_json(),
            "target_class": self.target_class,
            "poison_rate": self.poison_rate,
            "seed": self.seed,
        }


def poison(
    clean: ImageSet, trigger: Trigger, target_class: int, poison_rate: float = 0.1, seed: int = 0
) -> tuple[ImageSet, Int64[Tensor, " m"]]:
    """A copy of the set with the trigger on some images, relabelled as the target class, and the indices of those.

    The rate counts images of other classes: the target class is never poisoned from itself.

    Raises:
        UnknownNameError: if the target is not a class of the set.
        DataError: if the rate is not in [0, 1], or the trigger is of another size than the images.
    """
    poisoning = Poisoning(trigger, target_class, poison_rate, seed)
    poisoning.check(clean)
    chosen = poisoning.indices(clean.labels)
    images, labels = clean.images.clone(), clean.labels.clone()
    images[chosen] = trigger.apply_bytes(clean.images[chosen])
    labels[chosen] = target_class
    return replace(clean, images=images, labels=labels), chosen
