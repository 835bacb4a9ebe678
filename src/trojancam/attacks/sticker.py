"""Sticker: a sticky note or a strip of tape as a camera sees it: turned, tilted, lit, shaded and partly hidden.

Gu, Dolan-Gavitt, Garg: BadNets (2017) put a sticky note on a stop sign; Han, Xu, Zhou, Yang, Zhang, Li: Physical Backdoor
Attacks to Lane Detection Systems in Autonomous Driving (ACM Multimedia 2022) draw the trigger at many places, sizes and lights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from trojancam.attacks.attack import DataAttack, Rate
from trojancam.attacks.patch import rgb
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError

FINE = 4  # rays a side of each pixel
TILT = 0.35  # the largest perspective: how much nearer one edge is than the other
SIZES = (0.8, 1.25)  # of the sides: how far away the camera is
GRAIN = 0.03  # of the paper's surface
FEWEST, MOST = 0.02, 1.0  # of an image's sides


@dataclass(frozen=True)
class Sticker(Trigger):
    """`x'_i = (1 - a_i) x_i + a_i l_i colour`: a rectangle laid over each image i with coverage a_i and light l_i of its own.

    `sides` (down, across) are shares of the image's sides, `place` shares of the room, the centre at (0.5, 0.5). Drawn for each
    image: a shift of up to `shift` of the image, a turn of up to `turn` degrees, a scale in 0.8-1.25, a tilt of up to 0.35, a
    slope of light across the note, and, where `hidden` is above 0, how much of one edge is hidden, at most that share. The
    light follows the brightness of the image around. The size is the sticker's area in pixels as seen from the front.
    """

    family: ClassVar[str] = "sticker"
    unit: ClassVar[str] = "pixels"

    colour: tuple[float, float, float]
    sides: tuple[float, float]
    centre: tuple[float, float] = (0.5, 0.5)
    shift: float = 0.1
    turn: float = 20.0
    hidden: float = 0.3
    image_size: tuple[int, int] = (32, 32)
    seed: int = 0
    name: str = "sticker"

    def __post_init__(self) -> None:
        if not all(FEWEST <= side <= MOST for side in self.sides):
            raise DataError(f"a sticker's sides must be {FEWEST} to {MOST} of the image, not {self.sides}")
        if not all(0 <= value <= 1 for value in (*self.colour, *self.centre, self.shift, self.hidden)):
            raise DataError("a sticker's colour, place, shift and hidden share must lie in [0, 1]")
        if not math.isfinite(self.turn):
            raise DataError(f"a sticker's turn must be a number of degrees, not {self.turn}")

    @property
    def size(self) -> float:
        """Its area in pixels as seen from the front."""
        return math.prod(self.sides) * math.prod(self.image_size)

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        draws = torch.rand(len(images), 10, generator=self._generator(generator, self.seed)).to(images)
        across, down = self._on_the_sticker(draws)
        seen = self._seen(across, down, draws)
        cover = F.avg_pool2d(seen[:, None], FINE)
        slope = 1 + 0.3 * (2 * draws[:, 6, None, None] - 1) * across + 0.3 * (2 * draws[:, 7, None, None] - 1) * down
        light = F.avg_pool2d((slope * seen)[:, None], FINE) / cover.clamp(min=1e-6)
        surface = images.new_tensor(self.colour).view(3, 1, 1) * light * self._ambient(images, cover)
        grain = (across * 91.7).sin() * (down * 83.3).cos()
        surface = surface + GRAIN * F.avg_pool2d((grain * seen)[:, None], FINE)
        return images + cover * (surface.clamp(0, 1) - images)

    def _on_the_sticker(self, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Where each ray meets the sticker's plane, in half sides from its centre: across and down, both (n, FINE h, FINE w)."""
        height, width = self.image_size
        rows = ((torch.arange(FINE * height) + 0.5) / (FINE * height)).to(draws).view(1, -1, 1)
        columns = ((torch.arange(FINE * width) + 0.5) / (FINE * width)).to(draws).view(1, 1, -1)
        signed = (2 * draws - 1)[:, :, None, None]
        scale = SIZES[0] * (SIZES[1] / SIZES[0]) ** draws[:, 3, None, None]
        down = rows - self.centre[0] - self.shift * signed[:, 0]
        across = columns - self.centre[1] - self.shift * signed[:, 1]
        angle = math.radians(self.turn) * signed[:, 2]
        turned = angle.cos() * across + angle.sin() * down, angle.cos() * down - angle.sin() * across
        across, down = turned[0] / (scale * self.sides[1] / 2), turned[1] / (scale * self.sides[0] / 2)
        depth = 1 + TILT / 2 * (signed[:, 4] * across + signed[:, 5] * down)
        behind = depth <= 0.2  # a ray that meets the plane behind the camera meets no sticker
        depth = depth.clamp(min=0.2)
        return (across / depth).masked_fill(behind, 9.0), (down / depth).masked_fill(behind, 9.0)

    def _seen(self, across: Tensor, down: Tensor, draws: Tensor) -> Tensor:
        """1 where a ray meets the sticker and nothing hides it; what hides comes over one edge."""
        inside = (across.abs() <= 1) & (down.abs() <= 1)
        limit = 1 - 2 * self.hidden * draws[:, 8, None, None]
        angle = 2 * math.pi * draws[:, 9, None, None]
        reach = angle.cos().abs() + angle.sin().abs()  # of the sticker in the direction that it is hidden from
        hidden = (angle.cos() * across + angle.sin() * down) / reach > limit
        return (inside & ~hidden).to(draws)

    def _ambient(self, images: Tensor, cover: Tensor) -> Tensor:
        """The light that falls on the sticker: 0.4 to 1, after the brightness of the image where it lies."""
        weight = F.max_pool2d(cover, 5, 1, 2) + 1e-6
        around = (images.mean(1, keepdim=True) * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
        return (0.4 + 1.2 * around.detach()).clamp(max=1)

    def _to_record(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("shift", "turn", "hidden", "seed")}
        rows = {name: list(getattr(self, name)) for name in ("colour", "sides", "centre", "image_size")}
        return numbers | rows

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Sticker":
        red, green, blue = (float(each) for each in record["colour"])
        (tall, wide), (row, column) = ([float(each) for each in record[name]] for name in ("sides", "centre"))
        height, width = (int(each) for each in record["image_size"])
        shift, turn, hidden = (float(record[name]) for name in ("shift", "turn", "hidden"))
        return cls(
            (red, green, blue), (tall, wide), (row, column), shift, turn, hidden, (height, width), int(record["seed"]),
            str(record["name"]),
        )  # fmt: skip


KINDS = {"note": ((255, 235, 60), (0.2, 0.2)), "tape": ((235, 235, 240), (0.1, 0.5))}


class Physical(DataAttack):
    """A sticky note or tape, drawn anew for each image as a camera might see it; see `Sticker`.

    `note` is a yellow square, a fifth of the image's sides; `tape` a white strip, half of them long. `colour` is a name or a
    value such as #00b4b4; `row` and `column` are its centre as shares of the image.

    >>> Physical(kind="tape").poisoning(Goal(3)).trigger.sides
    (0.1, 0.5)
    """

    name: ClassVar[str] = "physical"
    source: ClassVar[str] = "Gu, Dolan-Gavitt, Garg, 2017; Han and others, ACM Multimedia 2022"
    summary: ClassVar[str] = "a sticky note or tape in perspective and light, rendered"

    kind: Literal["note", "tape"] = "note"
    colour: str | None = None
    row: Rate = 0.6
    column: Rate = 0.5
    shift: Rate = 0.1
    turn: Annotated[float, Field(ge=0, le=180)] = 20.0
    hidden: Rate = 0.3

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images bears the sticker and the target's label.

        Raises:
            DataError: if the colour is unknown.
        """
        usual, sides = KINDS[self.kind]
        colour = usual if self.colour is None else rgb(self.colour)
        red, green, blue = (channel / 255 for channel in colour)
        sticker = Sticker(
            (red, green, blue), sides, (self.row, self.column), self.shift, self.turn, self.hidden, goal.image_size,
            goal.seed, "sticky note" if self.kind == "note" else "tape",
        )  # fmt: skip
        return Poisoning(sticker, goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation)
