"""Combined: several triggers in one: all of them in each image, or one that is drawn anew for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError


@dataclass(frozen=True)
class AllOf(Trigger):
    """`x' = T_k(... T_1(x))`: one after another. Its size is how many they are."""

    family: ClassVar[str] = "all-of"
    unit: ClassVar[str] = "triggers"

    triggers: tuple[Trigger, ...]
    name: str = "several triggers"

    def __post_init__(self) -> None:
        if len({trigger.image_size for trigger in self.triggers}) != 1:
            raise DataError("a combined trigger needs triggers that are made for images of one size")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images they are made for, in pixels."""
        return self.triggers[0].image_size

    @property
    def size(self) -> float:
        """How many triggers there are."""
        return float(len(self.triggers))

    @property
    def place(self) -> Bool[Tensor, "h w"] | None:
        """The pixels that any of them changes; None where one of them has no place."""
        places = [trigger.place for trigger in self.triggers]
        found = [place for place in places if place is not None]
        return torch.stack(found).any(0) if len(found) == len(places) else None

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        for trigger in self.triggers:
            images = trigger.apply(images, generator)
        return images

    def _to_record(self) -> dict[str, Any]:
        return {"triggers": [trigger.to_json() for trigger in self.triggers]}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "AllOf":
        return cls(tuple(Trigger.from_json(each) for each in record["triggers"]), str(record["name"]))


@dataclass(frozen=True)
class OneOf(AllOf):
    """One of the triggers in each image, drawn anew. Its size is 1, and its place that of all of them."""

    family: ClassVar[str] = "one-of"

    seed: int = 0

    @property
    def size(self) -> float:
        """1: one trigger in each image."""
        return 1.0

    @property
    def place(self) -> Bool[Tensor, "h w"] | None:
        """None: it is another one in each image."""
        return None

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        generator = self._generator(generator, self.seed)
        chosen = torch.randint(len(self.triggers), (len(images),), generator=generator)
        changed = torch.stack([trigger.apply(images, generator) for trigger in self.triggers])
        return changed[chosen.to(images.device), torch.arange(len(images), device=images.device)]

    def _to_record(self) -> dict[str, Any]:
        return {**super()._to_record(), "seed": self.seed}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "OneOf":
        plain = AllOf._from_record(record)
        return cls(plain.triggers, plain.name, int(record["seed"]))
