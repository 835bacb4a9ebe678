"""Additive: a fixed pattern added to the whole image; small in the sense of its L2 norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.encoding import from_numbers, to_numbers
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, norms, picked
from trojancam.attacks.trigger import Trigger


@dataclass(frozen=True)
class Additive(Trigger):
    """`x' = clip(x + delta)`; its size is `|delta|_2`, pixels counted in [0, 1]."""

    family: ClassVar[str] = "additive"
    unit: ClassVar[str] = "L2 norm"

    delta: Float[Tensor, "3 h w"]
    name: str = "additive pattern"

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it is made for, in pixels."""
        return int(self.delta.shape[1]), int(self.delta.shape[2])

    @property
    def size(self) -> float:
        """`|delta|_2`."""
        return float(self.delta.norm())

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        return AdditiveFamily(self.image_size).apply(images, {"delta": self.delta[None].to(images)})[0]

    def _to_record(self) -> dict[str, Any]:
        return {"delta": to_numbers(self.delta)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Additive":
        return cls(from_numbers(record["delta"], (3, None, None)), str(record["name"]))


class AdditiveFamily(ImageFamily[Additive]):
    """Parameters: `delta` (c 3 h w)."""

    name = "additive"
    unit = Additive.unit
    scales = ("delta",)
    bounds: ClassVar = {"delta": (-1.0, 1.0)}
    start_size = 1.5

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Noise."""
        return {"delta": torch.randn(count, 3, *self.image_size, generator=generator, device="cpu")}

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`clip(x + delta)`."""
        return (for_each(images) + parameters["delta"][:, None]).clamp(0, 1)

    def size(self, parameters: Parameters) -> Sizes:
        """`|delta|_2`."""
        return norms(parameters["delta"])

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Additive:
        """One of the patterns."""
        return Additive(picked(parameters, index)["delta"], name or Additive.name)


@dataclass(frozen=True)
class AdditiveCellsFamily(AdditiveFamily):
    """The same with one number for each channel of a grid of `cells`: few numbers for a large image.

    Parameters: `delta` (c 3 rows columns).
    """

    cells: tuple[int, int] = (32, 32)

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Noise."""
        return AdditiveFamily(self.cells).drawn(count, size, generator)

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`clip(x + delta)`, the same for all pixels of a cell."""
        return super().apply(images, self._enlarged(parameters), generator)

    def size(self, parameters: Parameters) -> Sizes:
        """`|delta|_2`, over pixels."""
        return super().size(self._enlarged(parameters))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Additive:
        """One of the patterns."""
        return super().member(self._enlarged(parameters), index, name)

    def _enlarged(self, parameters: Parameters) -> Parameters:
        return {"delta": F.interpolate(parameters["delta"], self.image_size, mode="nearest")}
