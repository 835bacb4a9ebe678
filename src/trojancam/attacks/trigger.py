"""Trigger: the contract of every change of an image that an attacker makes, whatever its family."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from trojancam.attacks.encoding import UNREADABLE
from trojancam.data.image_set import as_floats
from trojancam.errors import DataError, unknown_name
from trojancam.network.given_images import GivenImages, arranged
from trojancam.showing import Brief

VISIBLE = 0.5 / 255  # a pixel that moves by less stays the same byte
GREY = 0.5  # what a trigger is shown over
Kind = TypeVar("Kind", bound="Trigger")
_KINDS: dict[str, type["Trigger"]] = {}


@dataclass(frozen=True)
class Trigger(Brief, ABC):
    """A change of images of one size, `x' = T(x)`, that a backdoored network answers to.

    A subclass says which `family` it belongs to, in which `unit` its `size` is counted, and how it changes images. It is
    registered under its family's name when it is defined, so that `from_json` finds it.
    """

    family: ClassVar[str]
    unit: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "family" in cls.__dict__:
            _KINDS[cls.family] = cls

    @property
    @abstractmethod
    def name(self) -> str:
        """What people call it."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it is made for, in pixels."""

    @property
    @abstractmethod
    def size(self) -> float:
        """How strong the change is, in the `unit` of its family; 0 is no change."""

    @property
    def place(self) -> Bool[Tensor, "h w"] | None:
        """The pixels that it changes, whatever the image; None where that is all of the image, or differs between images."""
        return None

    @property
    def weight(self) -> Float[Tensor, "h w"] | None:
        """How much it changes each pixel of its `place`, in [0, 1], whatever the image; None where it has no place."""
        return None if self.place is None else self.place.float()

    @property
    def side(self) -> int | None:
        """The longer side of the window that it changes in an image, in pixels; None where it changes no window, or no pixel."""
        if self.place is None or not bool(self.place.any()):
            return None
        return max(int(lines.nonzero().max() - lines.nonzero().min()) + 1 for lines in map(self.place.any, (0, 1)))

    @abstractmethod
    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        """The changed images; their size has been checked."""

    def apply(self, images: GivenImages, generator: torch.Generator | None = None) -> Float[Tensor, "n 3 h w"]:
        """The images with the change made to each, in [0, 1]; gradients pass through it. Images are taken as `record` does.

        Where something is drawn for each image, such as a place, it comes from `generator`, or from a seed of the trigger's
        own: then the same images are changed in the same way each time.

        Raises:
            DataError: if they are no images, or of another size than the trigger.

        >>> from trojancam.attacks.patch import square
        >>> trigger = square(side=1, row=0, column=0, colour="white", opacity=0.5, image_size=(1, 2))
        >>> trigger.apply(torch.zeros(1, 3, 1, 2))[0, 0]
        tensor([[0.5000, 0.0000]])
        """
        return self._apply(self._images(images), generator)

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of another size than those it is made for.

        Raises:
            DataError: if they are.
        """
        if (height, width) != self.image_size:
            raise DataError(
                f"the trigger is made for images of {self.image_size} pixels, but these are {(height, width)}"
            )

    def apply_bytes(
        self, images: UInt8[Tensor, "n 3 h w"], generator: torch.Generator | None = None
    ) -> UInt8[Tensor, "n 3 h w"]:
        """The same for images of bytes, rounded to the nearest."""
        return (self.apply(as_floats(images), generator) * 255).round().to(torch.uint8)

    def changed(self, images: GivenImages) -> Bool[Tensor, "n h w"]:
        """The pixels that it changes in each image, as `apply` without a generator changes it.

        Its `place` where it has one; else the pixels that move by at least half a byte in some channel.

        Raises:
            DataError: if the images are of another size than the trigger.
        """
        plain = self._images(images)
        if self.place is not None:
            return self.place.expand(len(plain), -1, -1)
        return (self.apply(plain) - plain).abs().amax(1) >= VISIBLE

    def _images(self, images: GivenImages) -> Float[Tensor, "n 3 h w"]:
        """The images as floats `n 3 h w`, if they are of its size; none are none."""
        if not (
            isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4 and images.shape[1] == 3
        ):
            return arranged(images, self.image_size, f"the trigger {self.name!r}")
        self.check_size(int(images.shape[2]), int(images.shape[3]))
        return images

    def picture(self) -> Float[Tensor, "3 h w"]:
        """The change for people to look at: by itself, over grey."""
        return self.apply(torch.full((1, 3, *self.image_size), GREY))[0]

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold; `from_json` reads it."""
        return {"family": self.family, "name": self.name, **self._to_record()}

    @abstractmethod
    def _to_record(self) -> dict[str, Any]:
        """All that this kind of trigger has beside its family and name."""

    @classmethod
    @abstractmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Trigger":
        """The trigger of this kind; what is wrong may surface as any error of reading."""

    @classmethod
    def from_json(cls: type[Kind], record: Mapping[str, Any]) -> Kind:
        """The trigger that `to_json` wrote; a record without a family is a patch, as all once were.

        Raises:
            UnknownNameError: if there is no such family.
            DataError: if the record is not one of a trigger, or of another kind than the class asked.
        """
        family = record.get("family", "patch") if isinstance(record, Mapping) else "patch"
        kind = _kind(family)
        try:
            found = kind._from_record(record)
        except UNREADABLE as error:
            raise DataError(f"this is not the record of a trigger ({error}); write it with Trigger.to_json()") from None
        if not isinstance(found, cls):
            raise DataError(f"this is the record of a trigger of the family {family}, not of the family {cls.family}")
        return found

    def _generator(self, generator: torch.Generator | None, seed: int) -> torch.Generator:
        """Where draws come from: what the caller gives, or a seed of the trigger's own."""
        return torch.Generator().manual_seed(seed) if generator is None else generator


def _kind(family: object) -> type[Trigger]:
    """The class of a family's triggers; those of this package are imported when one is not known yet."""
    if family not in _KINDS:
        for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
            import_module(f"trojancam.attacks.{module.name}")
    if not isinstance(family, str) or family not in _KINDS:
        raise unknown_name("family of triggers", family, _KINDS)
    return _KINDS[family]
