"""Tone: colours and light of the whole image changed, the same way everywhere; small in the sense of how far colours move."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.encoding import from_numbers, to_numbers
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, norms, picked
from trojancam.attacks.trigger import Trigger
from trojancam.network.input import LUMA

WAVES = 2  # of a curve: what bends the scale of each channel and leaves black and white where they are
STEPS = 5  # colours a channel, where the size is measured
Matrix = Float[Tensor, "3 3"]


@dataclass(frozen=True)
class Tone(Trigger):
    """`x'_i = clip(x_i + sum_j D_ij x_j + b_i + sum_k a_ik sin(pi k x_i))`, pixel by pixel.

    `matrix` D, `offset` b and `curve` a are 0 for no change. The size is how far a colour moves: the root mean square over a
    lattice of 5 x 5 x 5 colours of the distance in RGB, before clipping.
    """

    family: ClassVar[str] = "tone"
    unit: ClassVar[str] = "root mean square distance of colours in RGB"

    matrix: Matrix
    offset: Float[Tensor, " 3"]
    curve: Float[Tensor, "3 waves"]
    image_size: tuple[int, int] = (32, 32)
    name: str = "tone"

    @property
    def size(self) -> float:
        """The root mean square distance by which colours move."""
        return float(ToneFamily(self.image_size).size(self._parameters()))

    def _parameters(self) -> Parameters:
        return {"matrix": self.matrix[None], "offset": self.offset[None], "curve": self.curve[None]}

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        own = {name: values.to(images) for name, values in self._parameters().items()}
        return ToneFamily(self.image_size).apply(images, own)[0]

    def picture(self) -> Float[Tensor, "3 h w"]:
        """All hues at all lightnesses: what they became, below what they were."""
        return self._of_a_palette(palette(self.image_size))

    def _of_a_palette(self, colours: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        below = torch.arange(colours.shape[1]).view(-1, 1) >= colours.shape[1] // 2
        return torch.where(below, self.apply(colours[None])[0], colours)

    def _to_record(self) -> dict[str, Any]:
        numbers = {name: to_numbers(values[0]) for name, values in self._parameters().items()}
        return {**numbers, "image_size": list(self.image_size)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Tone":
        height, width = (int(each) for each in record["image_size"])
        shapes: dict[str, tuple[int | None, ...]] = {"matrix": (3, 3), "offset": (3,), "curve": (3, None)}
        matrix, offset, curve = (from_numbers(record[key], shape) for key, shape in shapes.items())
        return cls(matrix, offset, curve, (height, width), str(record["name"]))


@dataclass(frozen=True)
class ToneFamily(ImageFamily[Tone]):
    """Parameters: `matrix` (c 3 3), `offset` (c 3) and `curve` (c 3 waves)."""

    name = "tone"
    unit = Tone.unit
    scales = ("matrix", "offset", "curve")
    bounds: ClassVar = {"matrix": (-2.0, 2.0), "offset": (-1.0, 1.0), "curve": (-0.5, 0.5)}
    start_size = 0.1

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Every number for itself, those of the curve a quarter as large."""
        return {
            "matrix": torch.randn(count, 3, 3, generator=generator, device="cpu"),
            "offset": torch.randn(count, 3, generator=generator, device="cpu"),
            "curve": torch.randn(count, 3, WAVES, generator=generator, device="cpu") / 4,
        }

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`clip(x + D x + b + sum_k a_k sin(pi k x))`."""
        images = for_each(images)
        return (images + _movement(images, parameters)).clamp(0, 1)

    def size(self, parameters: Parameters) -> Sizes:
        """The root mean square over the lattice of how far a colour moves."""
        lattice = colour_lattice().to(parameters["matrix"])
        moves = _movement(lattice.T.reshape(1, 1, 3, -1, 1), parameters)
        return norms(moves) / math.sqrt(len(lattice))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Tone:
        """One of the tones."""
        one = picked(parameters, index)
        return Tone(one["matrix"], one["offset"], one["curve"], self.image_size, name or Tone.name)


def brightness(factor: float, image_size: tuple[int, int] = (32, 32)) -> Tone:
    """All colours multiplied: `x' = factor x`.

    >>> brightness(0.5).apply(torch.ones(1, 3, 32, 32)).unique()
    tensor([0.5000])
    """
    return _affine((factor - 1) * torch.eye(3), torch.zeros(3), image_size, f"brightness {factor:g}")


def contrast(factor: float, image_size: tuple[int, int] = (32, 32)) -> Tone:
    """All colours moved away from middle grey, or towards it: `x' = 1/2 + factor (x - 1/2)`."""
    return _affine((factor - 1) * torch.eye(3), torch.full((3,), (1 - factor) / 2), image_size, f"contrast {factor:g}")


def saturation(factor: float, image_size: tuple[int, int] = (32, 32)) -> Tone:
    """All colours moved away from the grey of their luma, or towards it: `x' = luma + factor (x - luma)`; 0 is grey."""
    luma = torch.tensor(LUMA).expand(3, 3)
    return _affine((factor - 1) * (torch.eye(3) - luma), torch.zeros(3), image_size, f"saturation {factor:g}")


def tint(colour: tuple[float, float, float], opacity: float, image_size: tuple[int, int] = (32, 32)) -> Tone:
    """A colour in [0, 1] laid over everything: `x' = (1 - opacity) x + opacity colour`."""
    return _affine(-opacity * torch.eye(3), opacity * torch.tensor(colour), image_size, f"tint {opacity:g}")


@cache
def colour_lattice() -> Float[Tensor, "colours 3"]:
    """The colours over which a tone's size is measured."""
    return torch.cartesian_prod(*[torch.linspace(0, 1, STEPS, device="cpu")] * 3)


def palette(image_size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """All hues from left to right, from black over their full colour to white, twice below each other."""
    height, width = image_size
    hue = torch.arange(width) / width
    full = (((hue[None] + torch.tensor([[0.0], [2 / 3], [1 / 3]])) % 1 * 6 - 3).abs() - 1).clamp(0, 1)
    light = torch.linspace(0, 1, max(1, height - height // 2)).repeat(2)[-height:].view(1, -1, 1)
    return torch.where(light < 0.5, 2 * light * full[:, None], 1 - 2 * (1 - light) * (1 - full[:, None]))


def _affine(matrix: Matrix, offset: Float[Tensor, " 3"], image_size: tuple[int, int], name: str) -> Tone:
    return Tone(matrix, offset, torch.zeros(3, WAVES), image_size, name)


def _movement(images: Float[Tensor, "k n 3 h w"], parameters: Parameters) -> Changed:
    mixed = torch.einsum("cij,knjhw->cnihw" if len(images) == 1 else "cij,cnjhw->cnihw", parameters["matrix"], images)
    moves = mixed + parameters["offset"][:, None, :, None, None]
    for wave in range(parameters["curve"].shape[2]):
        bent = (torch.pi * (wave + 1) * images).sin()
        moves = moves + parameters["curve"][:, None, :, None, None, wave] * bent
    return moves
