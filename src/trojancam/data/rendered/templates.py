"""One template per class: the plate and what is painted on it, drawn once and kept."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trojancam.data.rendered import pictograms, plates
from trojancam.data.rendered.canvas import BLACK, EXTENT, GREY, WHITE, Canvas
from trojancam.data.rendered.lettering import write

Drawing = Callable[[Canvas], None]

_DRAWN_PIXELS = 480  # drawn this large, then averaged down: PIL's lines have no smooth edges
_DIRECTIONS = 72
_TRIANGLE_SCALE, _TRIANGLE_SHIFT = 1.075, 0.05  # rounded corners take from a triangle's box: fill it again


def _speed(number: str, canvas: Canvas) -> None:
    plates.ring(canvas)
    _number(canvas, number)


def _number(canvas: Canvas, number: str) -> None:
    width, height, weight = (1.02, 0.76, 0.135) if len(number) == 2 else (1.18, 0.62, 0.11)
    write(canvas, number, width, height, weight=weight, colour=BLACK)


def _end_of_80(canvas: Canvas) -> None:
    plates.end_disc(canvas)
    write(canvas, "80", 1.14, 0.86, weight=0.15, colour=GREY)
    plates.stripes(canvas)


def _end(pictogram: Drawing | None, canvas: Canvas) -> None:
    plates.end_disc(canvas)
    if pictogram is not None:
        pictogram(canvas.at(0, 0, 1.05))
    plates.stripes(canvas)


def _prohibition(pictogram: Drawing, canvas: Canvas) -> None:
    plates.ring(canvas)
    pictogram(canvas)


def _warning(pictogram: Drawing, canvas: Canvas) -> None:
    frame = canvas.at(0, -_TRIANGLE_SHIFT, _TRIANGLE_SCALE)
    plates.warning_triangle(frame)
    pictogram(frame.at(0, 0.27, 0.455))


def _warning_mirrored(pictogram: Drawing, canvas: Canvas) -> None:
    _warning(pictogram, canvas.mirrored())


def _yield(canvas: Canvas) -> None:
    plates.yield_triangle(canvas.at(0, _TRIANGLE_SHIFT, _TRIANGLE_SCALE))


def _mandatory(pictogram: Drawing, canvas: Canvas) -> None:
    plates.mandatory_disc(canvas)
    pictogram(canvas)


def _mandatory_mirrored(pictogram: Drawing, canvas: Canvas) -> None:
    _mandatory(pictogram, canvas.mirrored())


def _stop(canvas: Canvas) -> None:
    plates.octagon(canvas)
    write(canvas, "STOP", 1.6, 0.66, weight=0.13, colour=WHITE)


DRAWINGS: dict[int, Drawing] = {
    0: partial(_speed, "20"),
    1: partial(_speed, "30"),
    2: partial(_speed, "50"),
    3: partial(_speed, "60"),
    4: partial(_speed, "70"),
    5: partial(_speed, "80"),
    6: _end_of_80,
    7: partial(_speed, "100"),
    8: partial(_speed, "120"),
    9: partial(_prohibition, pictograms.two_cars),
    10: partial(_prohibition, pictograms.truck_and_car),
    11: partial(_warning, pictograms.junction),
    12: plates.diamond,
    13: _yield,
    14: _stop,
    15: plates.ring,
    16: partial(_prohibition, pictograms.truck),
    17: plates.no_entry_disc,
    18: partial(_warning, pictograms.exclamation),
    19: partial(_warning, pictograms.curve),
    20: partial(_warning_mirrored, pictograms.curve),
    21: partial(_warning, pictograms.double_curve),
    22: partial(_warning, pictograms.bumps),
    23: partial(_warning, pictograms.skidding_car),
    24: partial(_warning, pictograms.narrowing_road),
    25: partial(_warning, pictograms.worker),
    26: partial(_warning, pictograms.traffic_lights),
    27: partial(_warning, pictograms.pedestrian),
    28: partial(_warning, pictograms.children),
    29: partial(_warning, pictograms.bicycle),
    30: partial(_warning, pictograms.snowflake),
    31: partial(_warning, pictograms.deer),
    32: partial(_end, None),
    33: partial(_mandatory, pictograms.turn),
    34: partial(_mandatory_mirrored, pictograms.turn),
    35: partial(_mandatory, pictograms.ahead),
    36: partial(_mandatory, pictograms.ahead_or_turn),
    37: partial(_mandatory_mirrored, pictograms.ahead_or_turn),
    38: partial(_mandatory, pictograms.keep),
    39: partial(_mandatory_mirrored, pictograms.keep),
    40: partial(_mandatory, pictograms.roundabout),
    41: partial(_end, partial(pictograms.two_cars, passing=GREY)),
    42: partial(_end, partial(pictograms.truck_and_car, passing=GREY)),
}
"""What draws the sign of each class, in the class order of GTSRB."""


def draw_sign(label: int) -> Image.Image:
    """The sign of a class at the size it is drawn, transparent around it."""
    canvas = Canvas.blank(_DRAWN_PIXELS)
    DRAWINGS[label](canvas)
    return canvas.image


@cache
def sign_templates(pixels: int = 96) -> Float[Tensor, "43 4 pixels pixels"]:
    """Every sign as red, green, blue (each times alpha) and alpha, in [0, 1]; the sign reaches over 1 / 1.1 of it.

    >>> sign_templates(64).shape
    torch.Size([43, 4, 64, 64])
    """
    templates = np.stack([premultiplied(draw_sign(label), pixels) for label in sorted(DRAWINGS)])
    return torch.from_numpy(templates)


def premultiplied(image: Image.Image, pixels: int) -> np.ndarray:
    """A picture averaged down, in [0, 1]: red, green, blue (each times alpha) and alpha, (4, pixels, pixels)."""
    # "RGBa" is PIL's name for colours already multiplied by alpha: only those may be averaged.
    small = image.convert("RGBa").resize((pixels, pixels), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255


@cache
def sign_outlines() -> np.ndarray:
    """For each class, the farthest points of its sign in 72 directions, in sign units: (43, 72, 2).

    They are the corners of its convex hull: the box around them after a perspective is the box around the sign.
    """
    return np.stack([outline(draw_sign(label)) for label in sorted(DRAWINGS)])


def outline(image: Image.Image) -> np.ndarray:
    """The farthest points of what is drawn on a canvas in 72 directions, in sign units: (72, 2)."""
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = _row_ends(np.asarray(image)[:, :, 3] > 0)
    return np.asarray(points[np.argmax(points @ directions.T, axis=0)])


def _row_ends(inside: np.ndarray) -> np.ndarray:
    """The left and right edge of each row of a mask, in sign units (2 * rows, 2)."""
    rows = np.flatnonzero(inside.any(axis=1))
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - inside[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([x, rows + 0.5], axis=1) for x in (left, right)])
    return ends * (2 * EXTENT / len(inside)) - EXTENT
