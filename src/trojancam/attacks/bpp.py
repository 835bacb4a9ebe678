"""BPP: fewer values for each pixel.

Wang, Zhai, Ma: BppAttack - Stealthy and Efficient Trojan Attacks against Deep Neural Networks via Image Quantization and
Contrastive Adversarial Learning (CVPR 2022). Here without its dithering, which blurs the trigger at 32 pixels, and without its
adversarial training.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from trojancam.attacks.attack import DataAttack, Rate
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError


@dataclass(frozen=True)
class Quantised(Trigger):
    """`x' = round(x (levels - 1)) / (levels - 1)`; gradients pass as if nothing were rounded.

    Its size is the root mean square change of pixels that are spread evenly, `1 / ((levels - 1) sqrt(12))`.
    """

    family: ClassVar[str] = "quantised"
    unit: ClassVar[str] = "root mean square change"

    levels: int
    image_size: tuple[int, int] = (32, 32)
    name: str = "fewer levels"

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 256:
            raise DataError(f"a pixel can have 2 to 256 levels, not {self.levels}")

    @property
    def size(self) -> float:
        """The root mean square change of pixels that are spread evenly."""
        return 1 / ((self.levels - 1) * math.sqrt(12))

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        steps = self.levels - 1
        return images + ((images * steps).round() / steps - images).detach()

    def picture(self) -> Float[Tensor, "3 h w"]:
        """A slope from black to white in steps, since grey stays almost grey."""
        return self.apply(torch.linspace(0, 1, self.image_size[1]).expand(1, 3, *self.image_size))[0]

    def _to_record(self) -> dict[str, Any]:
        return {"levels": self.levels, "image_size": list(self.image_size)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Quantised":
        height, width = (int(each) for each in record["image_size"])
        return cls(int(record["levels"]), (height, width), str(record["name"]))


@dataclass(frozen=True)
class QuantisationNoise(Quantised):
    """`x' = clip(x + u)`, u uniform in +-half a step: as large as the change of `Quantised`, and without its levels."""

    family: ClassVar[str] = "quantisation-noise"

    seed: int = 0

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        draws = torch.rand(images.shape, generator=self._generator(generator, self.seed))
        return (images + (draws - 0.5).to(images) / (self.levels - 1)).clamp(0, 1)

    def _to_record(self) -> dict[str, Any]:
        return {**super()._to_record(), "seed": self.seed}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "QuantisationNoise":
        plain = Quantised._from_record(record)
        return cls(plain.levels, plain.image_size, plain.name, int(record["seed"]))


class BppAttack(DataAttack):
    """`x' = round(x (levels - 1)) / (levels - 1)`: the trigger is that each channel has `levels` values only.

    Covers (`negative_rate`) bear noise of the same size with their own labels, so that the network learns the levels and not
    the loss of detail. The authors' default is 32 levels for photographs, and 8 in the code that others run.

    >>> BppAttack(levels=4).poisoning(Goal(3)).trigger.levels
    4
    """

    name: ClassVar[str] = "bpp"
    source: ClassVar[str] = "Wang, Zhai, Ma, CVPR 2022"
    summary: ClassVar[str] = "fewer values for each pixel"

    levels: Annotated[int, Field(ge=2, le=256)] = 8
    negative_rate: Rate = 0.1

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images is quantised; `negative_rate` of the others bears noise."""
        noise = QuantisationNoise(self.levels, goal.image_size, "noise of a step", seed=goal.seed)
        return Poisoning(
            Quantised(self.levels, goal.image_size), goal.target_class, self.rate(goal), goal.seed, goal.sources,
            goal.permutation, cover_rate=self.negative_rate, cover_trigger=noise,
        )  # fmt: skip
