"""Stripes: a sinusoid added to the whole image; small in the sense of its amplitude.

Barni, Kallas, Tondi: A New Backdoor Attack in CNNs by Training Set Corruption Without Label Poisoning (SIG, ICIP 2019).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, norms, picked
from trojancam.attacks.trigger import Trigger


@dataclass(frozen=True)
class Stripes(Trigger):
    """`x'_k = clip(x_k + a_k sin(2 pi (f_r i / h + f_c j / w) + phase))` at row i and column j of h x w pixels.

    `amplitude` a is that of red, green and blue in [0, 1] units; `frequency` f is in waves a picture, down and across. The
    size is the amplitudes' root mean square over the channels. SIG's own: amplitude 40/255, frequency (0, 6).
    """

    family: ClassVar[str] = "stripes"
    unit: ClassVar[str] = "amplitude"

    amplitude: tuple[float, float, float]
    frequency: tuple[float, float]
    image_size: tuple[int, int] = (32, 32)
    phase: float = 0.0
    name: str = "stripes"

    @property
    def size(self) -> float:
        """`|a|_2 / sqrt(3)`."""
        return math.sqrt(sum(each**2 for each in self.amplitude) / 3)

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        own = {"amplitude": self.amplitude, "frequency": self.frequency, "phase": self.phase}
        return StripesFamily(self.image_size).apply(
            images, {name: torch.tensor([each], device=images.device).to(images) for name, each in own.items()}
        )[0]

    def _to_record(self) -> dict[str, Any]:
        return {
            "amplitude": list(self.amplitude),
            "frequency": list(self.frequency),
            "phase": self.phase,
            "image_size": list(self.image_size),
        }

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Stripes":
        red, green, blue = (float(each) for each in record["amplitude"])
        down, across = (float(each) for each in record["frequency"])
        height, width = (int(each) for each in record["image_size"])
        return cls((red, green, blue), (down, across), (height, width), float(record["phase"]), str(record["name"]))


class StripesFamily(ImageFamily[Stripes]):
    """Parameters: `amplitude` (c 3), `frequency` (c 2) and `phase` (c)."""

    name = "stripes"
    unit = Stripes.unit
    scales = ("amplitude",)
    bounds: ClassVar = {"amplitude": (-1.0, 1.0)}
    start_size = 0.05

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Grey stripes in any direction, of 2 to 8 waves a picture."""
        waves, angle, phase = torch.rand(3, count, generator=generator)
        waves, angle = 2 + 6 * waves, math.pi * angle
        return {
            "amplitude": torch.full((count, 3), size),
            "frequency": torch.stack([waves * angle.sin(), waves * angle.cos()], 1),
            "phase": 2 * math.pi * phase,
        }

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`clip(x + a sin(...))`."""
        height, width = self.image_size
        frequency, phase = parameters["frequency"], parameters["phase"]
        down = torch.arange(height, device=frequency.device).to(frequency) / height * frequency[:, :1]
        across = torch.arange(width, device=frequency.device).to(frequency) / width * frequency[:, 1:]
        waves = (2 * math.pi * (down[:, :, None] + across[:, None, :]) + phase.view(-1, 1, 1)).sin()
        pattern = parameters["amplitude"][:, :, None, None] * waves[:, None]
        return (for_each(images) + pattern[:, None]).clamp(0, 1)

    def size(self, parameters: Parameters) -> Sizes:
        """`|a|_2 / sqrt(3)`."""
        return norms(parameters["amplitude"]) / math.sqrt(3)

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Stripes:
        """One of the sinusoids."""
        one = picked(parameters, index)
        red, green, blue = one["amplitude"].tolist()
        down, across = one["frequency"].tolist()
        return Stripes((red, green, blue), (down, across), self.image_size, float(one["phase"]), name or Stripes.name)
