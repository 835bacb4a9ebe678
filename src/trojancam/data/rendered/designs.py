"""The designs of each class of rendered objects: drawn once, as large as their canvas, and kept."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from trojancam.data.rendered import household, outdoors
from trojancam.data.rendered.canvas import EXTENT, Canvas
from trojancam.data.rendered.templates import outline, premultiplied

_DRAWN_PIXELS = 640
_SHRUNK = 0.8  # drawn smaller than the canvas: strokes may reach over the edge of what they outline
_FILLED_PIXELS = 512

OBJECTS: dict[str, tuple[Callable[[Canvas], None], ...]] = {
    "apple": (outdoors.apple_with_leaf, outdoors.cut_apple),
    "arrow": (outdoors.block_arrow, outdoors.bent_arrow, outdoors.feathered_arrow),
    "book": (household.open_book, household.closed_book, household.pile_of_books),
    "bottle": (household.wine_bottle, household.round_bottle, household.milk_bottle),
    "bulb": (household.pear_bulb, household.candle_bulb, household.ribbed_bulb),
    "clock": (household.wall_clock, household.alarm_clock, household.pendulum_clock),
    "die": (household.low_die, household.high_die, household.die_from_the_front),
    "fish": (outdoors.slim_fish, outdoors.round_fish, outdoors.scaled_fish),
    "glasses": (household.round_glasses, household.square_glasses, household.sunglasses),
    "house": (outdoors.cottage, outdoors.tower_block, outdoors.barn),
    "key": (household.old_key, household.door_key, household.clover_key),
    "lamp": (household.table_lamp, household.desk_lamp, household.hanging_lamp),
    "leaf": (outdoors.pointed_leaf, outdoors.lobed_leaf, outdoors.feathered_leaf),
    "mug": (household.straight_mug, household.cup_on_saucer, household.tankard),
    "mushroom": (outdoors.toadstool, outdoors.flat_mushroom, outdoors.two_mushrooms),
    "scissors": (household.open_scissors, household.closed_scissors, household.wide_scissors),
    "screw": (household.bolt, household.wood_screw, household.round_head_screw),
    "star": (outdoors.five_pointed_star, outdoors.outlined_star, outdoors.burst),
    "umbrella": (household.open_umbrella, household.flat_umbrella, household.closed_umbrella),
    "wheel": (outdoors.spoked_wheel, outdoors.car_wheel, outdoors.bicycle_wheel),
}
"""What draws each class of objects, design by design; the classes in the order of their numbers."""

OBJECT_NAMES = tuple(OBJECTS)
"""The classes of rendered objects by name."""

DESIGNS = np.array([len(designs) for designs in OBJECTS.values()])
"""How many designs each class has."""

FIRST_DESIGN = np.concatenate([[0], np.cumsum(DESIGNS)[:-1]])
"""The row of each class's first design in the templates."""


@cache
def _drawn() -> tuple[Image.Image, ...]:
    """Every design at the size it is drawn, its longer side over 1 / 1.1 of the picture, transparent around it."""
    return tuple(_filled(draw) for designs in OBJECTS.values() for draw in designs)


def _filled(draw: Callable[[Canvas], None]) -> Image.Image:
    canvas = Canvas.blank(_DRAWN_PIXELS)
    draw(canvas.at(0, 0, _SHRUNK))
    left, top, right, bottom = canvas.image.getbbox() or (0, 0, 1, 1)
    half = max(right - left, bottom - top) / 2 * EXTENT
    x, y = (left + right) / 2, (top + bottom) / 2
    size = (_FILLED_PIXELS, _FILLED_PIXELS)
    picture = canvas.image.convert("RGBa").transform(
        size, Image.Transform.EXTENT, (x - half, y - half, x + half, y + half), Image.Resampling.BILINEAR
    )
    return picture.convert("RGBA")


@cache
def object_templates(pixels: int) -> UInt8[Tensor, "designs 4 pixels pixels"]:
    """Every design as shares of its materials: red, green and blue of three (times alpha), and alpha; bytes, for they are many.

    >>> object_templates(64).shape
    torch.Size([59, 4, 64, 64])
    """
    shares = (premultiplied(picture, pixels) for picture in _drawn())
    return torch.from_numpy(np.stack([(each * 255 + 0.5).astype(np.uint8) for each in shares]))


@cache
def object_outlines() -> Float[Tensor, "designs 72 2"]:
    """The farthest points of each design in 72 directions, as `sign_outlines` has those of signs."""
    return torch.from_numpy(np.stack([outline(picture) for picture in _drawn()])).to(torch.float32)
