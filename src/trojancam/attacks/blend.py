"""Blend: another image laid over the whole image; small in the sense of its opacity.

Chen, Liu, Li, Lu, Song: Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning (2017). `PartialBlend` shows
a random half of its pieces: Qi, Xie, Mahloujifar, Mittal: Revisiting the Assumption of Latent Separability (ICLR 2023).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.encoding import from_png, to_png
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, picked
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError


@dataclass(frozen=True)
class Blend(Trigger):
    """`x' = (1 - opacity) x + opacity image`; its size is its opacity."""

    family: ClassVar[str] = "blend"
    unit: ClassVar[str] = "opacity"

    image: Float[Tensor, "3 h w"]
    opacity: float
    name: str = "blended image"

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise DataError(f"a blended image's opacity must lie in [0, 1], not {self.opacity}")
        if not bool(((self.image >= 0) & (self.image <= 1)).all()):
            raise DataError("a blended image's values must lie in [0, 1]; divide bytes by 255")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it is made for, in pixels."""
        return int(self.image.shape[1]), int(self.image.shape[2])

    @property
    def size(self) -> float:
        """The opacity."""
        return self.opacity

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        return images + self.opacity * (self.image.to(images) - images)

    def picture(self) -> Float[Tensor, "3 h w"]:
        """The image that is blended in."""
        return self.image

    def _to_record(self) -> dict[str, Any]:
        return {"opacity": self.opacity, "png": to_png(self.image)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Blend":
        return cls(from_png(record["png"], "RGB"), float(record["opacity"]), str(record["name"]))


@dataclass(frozen=True)
class PartialBlend(Blend):
    """A blend of which each image shows only some pieces of a grid, drawn anew for each: so an attacker trains Adap-Blend.

    The grid has `pieces` by `pieces` parts, of which `shown` are laid over an image.
    """

    family: ClassVar[str] = "partial-blend"

    pieces: int = 4
    shown: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.shown <= self.pieces**2:
            raise DataError(f"of {self.pieces**2} pieces between 1 and all can be shown, not {self.shown}")

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        draws = torch.rand(len(images), self.pieces**2, generator=self._generator(generator, self.seed))
        shown = draws.argsort(1).argsort(1) < self.shown
        grid = shown.view(-1, self.pieces, self.pieces).to(images)
        rows, columns = (torch.arange(extent) * self.pieces // extent for extent in self.image_size)
        weight = self.opacity * grid[:, rows][:, :, columns][:, None]
        return images + weight * (self.image.to(images) - images)

    def _to_record(self) -> dict[str, Any]:
        return {**super()._to_record(), "pieces": self.pieces, "shown": self.shown, "seed": self.seed}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "PartialBlend":
        plain = Blend._from_record(record)
        numbers = (int(record[key]) for key in ("pieces", "shown", "seed"))
        return cls(plain.image, plain.opacity, plain.name, *numbers)


class BlendFamily(ImageFamily[Blend]):
    """Parameters: `image` (c 3 h w) and `opacity` (c)."""

    name = "blend"
    unit = Blend.unit
    scales = ("opacity",)
    bounds: ClassVar = {"image": (0.0, 1.0), "opacity": (0.0, 1.0)}
    start_size = 0.1

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Noise in colour, each pixel for itself."""
        return {
            "image": torch.rand(count, 3, *self.image_size, generator=generator),
            "opacity": torch.full((count,), size),
        }

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`x + opacity (image - x)`."""
        images, opacity = for_each(images), parameters["opacity"].view(-1, 1, 1, 1, 1)
        return images + opacity * (parameters["image"][:, None] - images)

    def size(self, parameters: Parameters) -> Sizes:
        """The opacity."""
        return parameters["opacity"].abs()

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Blend:
        """One of the images; as a record it is rounded to 8 bits."""
        one = picked(self.project(parameters), index)
        return Blend(one["image"], float(one["opacity"]), name or Blend.name)
