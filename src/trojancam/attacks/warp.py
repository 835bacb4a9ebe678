"""Warp: the whole image bent by a smooth flow; small in the sense of how far pixels move.

Nguyen, Tran: WaNet - Imperceptible Warping-based Backdoor Attack (ICLR 2021). `NoisyWarp` is its noise mode: the flow with
random offsets, which a network is taught to ignore.
"""

import math
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
class Warp(Trigger):
    """`x'(p) = x(p + u(p))`, bilinear, with the flow u interpolated bicubically from a coarse grid; edges are continued.

    `flow` is that of the grid's points, down and across, in pixels; the outer points lie on the centres of the outer pixels.
    The size is the root mean square displacement over the pixels.
    """

    family: ClassVar[str] = "warp"
    unit: ClassVar[str] = "pixels of root mean square displacement"

    flow: Float[Tensor, "2 rows columns"]
    image_size: tuple[int, int] = (32, 32)
    name: str = "warp"

    @property
    def size(self) -> float:
        """The root mean square displacement."""
        return float(WarpFamily(self.image_size).size({"flow": self.flow[None]}))

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        return WarpFamily(self.image_size).apply(images, {"flow": self.flow[None].to(images)})[0]

    def picture(self) -> Float[Tensor, "3 h w"]:
        """A grid of lines, bent."""
        height, width = self.image_size
        step = max(4, min(height, width) // 8)
        lines = torch.zeros(1, 3, height, width)
        lines[..., step // 2 :: step, :] = lines[..., step // 2 :: step] = 1
        return self.apply(lines)[0]

    def _to_record(self) -> dict[str, Any]:
        return {"flow": to_numbers(self.flow), "image_size": list(self.image_size)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Warp":
        height, width = (int(each) for each in record["image_size"])
        return cls(from_numbers(record["flow"], (2, None, None)), (height, width), str(record["name"]))


@dataclass(frozen=True)
class NoisyWarp(Warp):
    """A warp with a random offset of up to `noise` pixels, both ways, added to the displacement of every pixel of every image."""

    family: ClassVar[str] = "noisy-warp"

    noise: float = 0.5
    seed: int = 0

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        draws = torch.rand(len(images), 2, *self.image_size, generator=self._generator(generator, self.seed))
        flow = upsampled(self.flow[None].to(images), self.image_size)
        offsets = self.noise * (2 * draws - 1).to(images)
        return moved(images[:, None], flow + offsets)[:, 0]

    def _to_record(self) -> dict[str, Any]:
        return {**super()._to_record(), "noise": self.noise, "seed": self.seed}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "NoisyWarp":
        plain = Warp._from_record(record)
        return cls(plain.flow, plain.image_size, plain.name, float(record["noise"]), int(record["seed"]))


@dataclass(frozen=True)
class WarpFamily(ImageFamily[Warp]):
    """Parameters: `flow` (c 2 rows columns) on a grid of `points`, in pixels."""

    name = "warp"
    unit = Warp.unit
    scales = ("flow",)
    start_size = 0.6

    points: tuple[int, int] = (5, 5)

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Every point of the grid for itself, uniformly in a square."""
        return {"flow": 2 * torch.rand(count, 2, *self.points, generator=generator, device="cpu") - 1}

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`x(p + u(p))`."""
        flow = upsampled(parameters["flow"], self.image_size)
        return moved(for_each(images), flow)

    def size(self, parameters: Parameters) -> Sizes:
        """The root mean square displacement over the pixels."""
        return norms(upsampled(parameters["flow"], self.image_size)) / math.sqrt(math.prod(self.image_size))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Warp:
        """One of the flows."""
        return Warp(picked(parameters, index)["flow"], self.image_size, name or Warp.name)


def wanet_flow(image_size: tuple[int, int], points: int, strength: float, generator: torch.Generator) -> Warp:
    """The warp that WaNet draws: noise over a grid, its mean magnitude 1, times `strength / height` of half the image.

    Its authors use 4 points and strength 0.5 on 32 pixels: a quarter of a pixel in the mean.
    """
    noise = 2 * torch.rand(2, points, points, generator=generator) - 1
    height, width = image_size
    half = torch.tensor([(height - 1) / 2, (width - 1) / 2]).view(2, 1, 1)
    return Warp(noise / noise.abs().mean() * strength / height * half, image_size, "WaNet's warp")


def upsampled(flow: Float[Tensor, "c 2 rows columns"], image_size: tuple[int, int]) -> Float[Tensor, "c 2 h w"]:
    """A flow's values at every pixel, bicubic between the points of its grid."""
    return F.interpolate(flow, size=image_size, mode="bicubic", align_corners=True)


def moved(images: Float[Tensor, "k n 3 h w"], flow: Float[Tensor, "c 2 h w"]) -> Changed:
    """Every pixel taken from where the flow points, in pixels down and across; k is c, or 1 where all share the images."""
    height, width = flow.shape[-2:]
    rows = torch.arange(height, device=flow.device).to(flow).view(-1, 1) + flow[:, 0]
    columns = torch.arange(width, device=flow.device).to(flow) + flow[:, 1]
    spans = (max(height - 1, 1) / 2, max(width - 1, 1) / 2)
    grid = torch.stack([columns / spans[1] - 1, rows / spans[0] - 1], -1)
    folded = images.flatten(1, 2)  # one flow for all channels of all of a candidate's images
    if len(images) == 1:  # all candidates' grids below each other: the images are read once
        found = F.grid_sample(folded, grid.view(1, -1, width, 2), padding_mode="border", align_corners=True)
        return found.view(*images.shape[1:3], len(flow), height, width).movedim(2, 0)
    found = F.grid_sample(folded, grid, padding_mode="border", align_corners=True)
    return found.view(len(flow), *images.shape[1:])
