"""Silhouettes of things that are found in a house: two or three designs each, drawn as those of `outdoors.py`."""

import math

from trojancam.data.rendered.canvas import Canvas, Number, Point, arc
from trojancam.data.rendered.materials import DARK, LIGHT, MAIN, SECOND


def straight_mug(canvas: Canvas) -> None:
    """A straight mug with a handle and two bands."""
    canvas.stroke(arc((0.42, 0.05), 0.42, 0.42, -80, 80), 0.2, MAIN)
    canvas.box(-0.75, -0.75, 0.45, 0.8, MAIN)
    canvas.polygon(arc((-0.15, 0.8), 0.6, 0.15, 0, 180), MAIN)
    canvas.polygon(arc((-0.15, -0.75), 0.6, 0.16, 0, 360), DARK)
    canvas.box(-0.75, -0.2, 0.45, 0.0, SECOND)
    canvas.box(-0.75, 0.3, 0.45, 0.5, SECOND)


def cup_on_saucer(canvas: Canvas) -> None:
    """A round cup with a handle, on a saucer; steam rises."""
    canvas.polygon(arc((-0.1, 0.72), 0.9, 0.18, 0, 360), SECOND)
    canvas.stroke(arc((0.5, -0.02), 0.32, 0.3, -100, 110), 0.15, MAIN)
    canvas.polygon([*arc((-0.1, -0.35), 0.66, 1.05, 0, 180)], MAIN)
    canvas.polygon(arc((-0.1, -0.35), 0.66, 0.15, 0, 360), DARK)
    for x in (-0.35, 0.1):
        canvas.stroke([(x, -0.55), (x + 0.1, -0.68), (x - 0.02, -0.8), (x + 0.08, -0.95)], 0.07, LIGHT)


def tankard(canvas: Canvas) -> None:
    """A high mug with upright grooves, an angular handle, and foam."""
    canvas.stroke([(0.4, -0.4), (0.85, -0.32), (0.85, 0.5), (0.4, 0.6)], 0.18, SECOND)
    canvas.box(-0.65, -0.6, 0.45, 0.95, MAIN)
    for x in (-0.4, -0.1, 0.2):
        canvas.stroke([(x, -0.2), (x, 0.75)], 0.1, SECOND)
    for x in (-0.52, -0.24, 0.06, 0.34):
        canvas.disc(x, -0.68, 0.24, LIGHT)


def old_key(canvas: Canvas) -> None:
    """A ring, a long shaft, and a bit with two teeth."""
    canvas.stroke(arc((0, -0.6), 0.3, 0.3, 0, 360), 0.18, MAIN)
    canvas.box(-0.1, -0.32, 0.1, 1, MAIN)
    canvas.box(0.05, 0.5, 0.48, 0.66, MAIN)
    canvas.box(0.05, 0.8, 0.42, 0.98, MAIN)
    canvas.box(-0.2, -0.24, 0.2, -0.1, SECOND)


def door_key(canvas: Canvas) -> None:
    """A six-cornered head with a hole, and a blade with notches along one edge."""
    canvas.polygon([(-0.17, -0.2), (0.17, -0.2), (0.17, 0.85), (0, 1), (-0.17, 0.85)], MAIN)
    for y in (0.15, 0.4, 0.65):
        canvas.polygon([(0.16, y - 0.12), (0.32, y), (0.16, y + 0.1)], MAIN)
    canvas.stroke([(-0.05, -0.1), (-0.05, 0.8)], 0.07, SECOND)
    head = [(0.46 * math.cos(math.radians(60 * i)), -0.56 + 0.42 * math.sin(math.radians(60 * i))) for i in range(6)]
    canvas.polygon(head, SECOND)
    canvas.disc(0, -0.68, 0.13, DARK)


def clover_key(canvas: Canvas) -> None:
    """Three small rings, a shaft with a collar, and a comb of teeth."""
    for x, y in ((0, -0.78), (-0.28, -0.42), (0.28, -0.42)):
        canvas.stroke(arc((x, y), 0.17, 0.17, 0, 360), 0.13, MAIN)
    canvas.stroke([(0, -0.4), (0, 0.94)], 0.17, MAIN)
    canvas.stroke([(-0.17, -0.14), (0.17, -0.14)], 0.12, SECOND)
    for y in (0.5, 0.7, 0.9):
        canvas.box(-0.42, y - 0.06, 0, y + 0.06, MAIN)


def wine_bottle(canvas: Canvas) -> None:
    """A slim neck, a label with lines."""
    canvas.polygon(
        [(-0.12, -1), (0.12, -1), (0.13, -0.4), (0.36, -0.1), (0.36, 1), (-0.36, 1), (-0.36, -0.1), (-0.13, -0.4)], MAIN
    )
    canvas.box(-0.15, -1, 0.15, -0.72, SECOND)
    canvas.box(-0.36, 0.15, 0.36, 0.7, LIGHT)
    canvas.stroke([(-0.2, 0.32), (0.2, 0.32)], 0.08, DARK)
    canvas.stroke([(-0.2, 0.53), (0.2, 0.53)], 0.08, DARK)


def round_bottle(canvas: Canvas) -> None:
    """A round belly, a short neck and a cork; it is half full."""
    canvas.disc(0, 0.35, 0.62, MAIN)
    canvas.box(-0.2, -0.65, 0.2, 0, MAIN)
    canvas.polygon(arc((0, 0.35), 0.5, 0.5, 0, 180), SECOND)
    canvas.box(-0.28, -0.72, 0.28, -0.55, MAIN)
    canvas.box(-0.15, -0.98, 0.15, -0.7, DARK)
    canvas.stroke(arc((0, 0.35), 0.4, 0.4, 190, 240), 0.09, LIGHT)


def milk_bottle(canvas: Canvas) -> None:
    """Broad shoulders, a wide cap, two bands."""
    canvas.polygon(
        [
            (-0.24, -0.8),
            (0.24, -0.8),
            (0.26, -0.5),
            (0.52, -0.15),
            (0.52, 1),
            (-0.52, 1),
            (-0.52, -0.15),
            (-0.26, -0.5),
        ],
        MAIN,
    )
    canvas.box(-0.3, -1, 0.3, -0.76, DARK)
    canvas.box(-0.52, 0.05, 0.52, 0.2, SECOND)
    canvas.box(-0.52, 0.72, 0.52, 0.87, SECOND)


def table_lamp(canvas: Canvas) -> None:
    """A shade with a band, a bulging stand, a foot."""
    canvas.box(-0.06, -0.1, 0.06, 0.9, DARK)
    canvas.polygon(arc((0, 0.45), 0.2, 0.34, 0, 360), SECOND)
    canvas.polygon(arc((0, 0.97), 0.46, 0.2, 180, 360), SECOND)
    canvas.polygon([(-0.38, -1), (0.38, -1), (0.76, -0.02), (-0.76, -0.02)], MAIN)
    canvas.polygon([(-0.71, -0.16), (0.71, -0.16), (0.76, -0.02), (-0.76, -0.02)], LIGHT)


def desk_lamp(canvas: Canvas) -> None:
    """Two arms with joints, and a cone of a shade."""
    canvas.polygon(arc((-0.3, 0.98), 0.52, 0.2, 180, 360), SECOND)
    canvas.stroke([(-0.3, 0.84), (-0.62, 0.05), (0.12, -0.62)], 0.13, MAIN)
    canvas.disc(-0.62, 0.05, 0.13, DARK)
    canvas.disc(0.66, 0.0, 0.2, LIGHT)
    canvas.polygon([(0.0, -0.72), (0.24, -0.92), (0.98, -0.28), (0.34, 0.3)], MAIN)
    canvas.polygon([(0.98, -0.28), (0.34, 0.3), (0.28, 0.18), (0.86, -0.38)], SECOND)


def hanging_lamp(canvas: Canvas) -> None:
    """A cord, a bell of a shade, the bulb below it."""
    canvas.stroke([(0, -1), (0, -0.3)], 0.08, DARK)
    canvas.box(-0.16, -0.5, 0.16, -0.2, SECOND)
    canvas.disc(0, 0.52, 0.24, LIGHT)
    canvas.polygon([*arc((0, 0.5), 0.85, 0.8, 180, 360)], MAIN)
    canvas.stroke([(-0.82, 0.5), (0.82, 0.5)], 0.1, SECOND)


def open_umbrella(canvas: Canvas) -> None:
    """A round canopy in panels with a scalloped edge, and a hook."""
    canvas.stroke([(0, -1), (0, 0.72), *arc((0.18, 0.72), 0.18, 0.2, 180, 20)], 0.09, DARK)
    _canopy(canvas, 0.9, 7)


def flat_umbrella(canvas: Canvas) -> None:
    """A flat canopy of five panels, and a straight handle."""
    canvas.stroke([(0, -0.75), (0, 0.6)], 0.08, DARK)
    canvas.stroke([(0, 0.6), (0, 0.92)], 0.18, SECOND)
    _canopy(canvas, 0.62, 5)


def _canopy(canvas: Canvas, height: Number, panels: int) -> None:
    """Half an ellipse in panels of two colours, whose lower edge is cut into arcs."""
    width = 2 / panels
    for i in range(panels):
        left, right = -1 + i * width, -1 + (i + 1) * width
        scallop = arc(((left + right) / 2, 0), width / 2, 0.14, 0, -180)
        canvas.polygon([*_rib(left, height), *reversed(_rib(right, height)), *scallop], SECOND if i % 2 else MAIN)


def _rib(share: Number, height: Number) -> list[Point]:
    """The seam of a canopy from its edge to its top: an arc that is the flatter, the nearer to the middle."""
    return [(share * math.cos(math.radians(a)), -height * math.sin(math.radians(a))) for a in range(0, 91, 6)]


def closed_umbrella(canvas: Canvas) -> None:
    """Furled: long folds, a strap, a hook above and a tip below."""
    canvas.stroke([(0, -0.4), (0, -0.72), *arc((0.2, -0.72), 0.2, 0.22, 180, 370)], 0.11, DARK)
    canvas.stroke([(0, 0.7), (0, 1)], 0.07, DARK)
    canvas.polygon([(-0.3, -0.36), (-0.1, -0.46), (0.1, -0.46), (0.3, -0.36), (0.06, 0.9), (-0.06, 0.9)], MAIN)
    canvas.polygon([(-0.1, -0.46), (0.1, -0.46), (0.02, 0.9), (-0.02, 0.9)], SECOND)
    canvas.stroke([(-0.24, -0.06), (0.24, -0.06)], 0.1, LIGHT)


def wall_clock(canvas: Canvas) -> None:
    """A rim, a light face with twelve marks, two hands."""
    canvas.disc(0, 0, 1, MAIN)
    canvas.disc(0, 0, 0.8, LIGHT)
    for i in range(12):
        x, y = math.sin(math.pi * i / 6), math.cos(math.pi * i / 6)
        canvas.stroke([(0.62 * x, 0.62 * y), (0.7 * x, 0.7 * y)], 0.1 if i % 3 == 0 else 0.06, DARK)
    _hands(canvas, 1.0)


def alarm_clock(canvas: Canvas) -> None:
    """Two bells on a round case on feet."""
    for side in (-1, 1):
        canvas.stroke([(side * 0.4, 0.6), (side * 0.6, 0.95)], 0.15, DARK)
        canvas.disc(side * 0.48, -0.62, 0.3, SECOND)
    canvas.stroke([(0, -0.6), (0, -0.92)], 0.12, DARK)
    canvas.disc(0, 0.12, 0.74, MAIN)
    canvas.disc(0, 0.12, 0.56, LIGHT)
    for x, y in ((0, -0.44), (0.44, 0), (0, 0.44), (-0.44, 0)):
        canvas.disc(x, y + 0.12, 0.06, DARK)
    _hands(canvas.at(0, 0.12, 0.72), 1.0)


def pendulum_clock(canvas: Canvas) -> None:
    """A case with a pointed top, a face, and a pendulum below it."""
    canvas.polygon([(-0.55, -0.6), (0, -1), (0.55, -0.6), (0.55, 1), (-0.55, 1)], MAIN)
    canvas.box(-0.32, 0.22, 0.32, 0.88, DARK)
    canvas.stroke([(0, 0.25), (0.06, 0.62)], 0.06, LIGHT)
    canvas.disc(0.07, 0.66, 0.14, SECOND)
    canvas.disc(0, -0.3, 0.44, LIGHT)
    canvas.stroke(arc((0, -0.3), 0.42, 0.42, 0, 360), 0.07, SECOND)
    _hands(canvas.at(0, -0.3, 0.55), 1.0)


def _hands(canvas: Canvas, length: Number) -> None:
    canvas.stroke([(0, 0), (0.34 * length, -0.26 * length)], 0.12, DARK)
    canvas.stroke([(0, 0), (-0.1 * length, -0.62 * length)], 0.09, DARK)
    canvas.disc(0, 0, 0.09, DARK)


PIPS = {
    1: ((0, 0),),
    2: ((-1, -1), (1, 1)),
    3: ((-1, -1), (0, 0), (1, 1)),
    4: ((-1, -1), (1, -1), (-1, 1), (1, 1)),
    5: ((-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)),
    6: ((-1, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (1, 1)),
}
"""Where the pips of a die's face lie."""


def low_die(canvas: Canvas) -> None:
    """A cube from a corner: one, two and three."""
    _cube(canvas, 1, 2, 3)


def high_die(canvas: Canvas) -> None:
    """A cube from a corner: six, five and four."""
    _cube(canvas, 6, 5, 4)


def die_from_the_front(canvas: Canvas) -> None:
    """One face with rounded corners, and a sliver of two others."""
    canvas.polygon([(-0.75, -0.6), (-0.5, -0.95), (0.95, -0.95), (0.95, 0.5), (0.75, 0.75)], SECOND)
    canvas.box(-0.85, -0.65, 0.65, 0.85, MAIN)
    for x, y in PIPS[5]:
        canvas.disc(-0.1 + 0.45 * x, 0.1 + 0.45 * y, 0.16, DARK)


def _cube(canvas: Canvas, top: int, left: int, right: int) -> None:
    """Three faces as parallelograms: an origin and two edges each."""
    faces = (
        (top, (0, -0.48), (0.43, 0.24), (-0.43, 0.24), LIGHT),
        (left, (-0.43, 0.26), (0.43, 0.24), (0, 0.49), MAIN),
        (right, (0.43, 0.26), (0.43, -0.24), (0, 0.49), SECOND),
    )
    for pips, (x, y), (ux, uy), (vx, vy), colour in faces:
        canvas.polygon(
            [(x + a * ux + b * vx, y + a * uy + b * vy) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], colour
        )
        for a, b in PIPS[pips]:
            centre = (x + 0.55 * (a * ux + b * vx), y + 0.55 * (a * uy + b * vy))
            canvas.polygon(
                [
                    (centre[0] + c * ux + s * vx, centre[1] + c * uy + s * vy)
                    for c, s in arc((0, 0), 0.24, 0.24, 0, 360)
                ],
                DARK,
            )


def bolt(canvas: Canvas) -> None:
    """A six-cornered head from the side, a washer, and a thread."""
    canvas.box(-0.26, -0.4, 0.26, 0.98, MAIN)
    for y in (-0.02, 0.2, 0.42, 0.64, 0.86):
        canvas.stroke([(-0.28, y + 0.08), (0.28, y - 0.08)], 0.09, DARK)
    canvas.polygon([(-0.62, -0.9), (-0.54, -1), (0.54, -1), (0.62, -0.9), (0.62, -0.45), (-0.62, -0.45)], SECOND)
    for x in (-0.22, 0.22):
        canvas.stroke([(x, -0.96), (x, -0.48)], 0.05, DARK)
    canvas.box(-0.72, -0.45, 0.72, -0.32, MAIN)


def wood_screw(canvas: Canvas) -> None:
    """A sunk head, a shaft that narrows to a tip, a coarse thread."""
    canvas.polygon([(-0.58, -1), (0.58, -1), (0.22, -0.6), (0.22, 0.35), (0, 1), (-0.22, 0.35), (-0.22, -0.6)], MAIN)
    canvas.stroke([(-0.5, -0.93), (0.5, -0.93)], 0.12, SECOND)
    for y, half in ((-0.25, 0.36), (0.0, 0.36), (0.25, 0.34), (0.5, 0.24), (0.74, 0.15)):
        canvas.stroke([(-half, y + 0.09), (half, y - 0.09)], 0.09, SECOND)


def round_head_screw(canvas: Canvas) -> None:
    """A half round head with a slot, and a short thick thread."""
    canvas.polygon([*arc((0, -0.35), 0.72, 0.62, 180, 360)], SECOND)
    canvas.box(-0.08, -1, 0.08, -0.66, DARK)
    canvas.polygon([(-0.3, -0.35), (0.3, -0.35), (0.3, 0.8), (0.16, 0.98), (-0.16, 0.98), (-0.3, 0.8)], MAIN)
    for y in (-0.12, 0.12, 0.36, 0.6):
        canvas.stroke([(-0.36, y + 0.07), (0.36, y - 0.07)], 0.1, LIGHT)


def open_scissors(canvas: Canvas) -> None:
    """Two blades that cross at a rivet, and two round handles."""
    for frame, colour in ((canvas, MAIN), (canvas.mirrored(), LIGHT)):
        frame.polygon([(-0.12, 0.14), (0.04, -0.05), (0.62, -1), (0.16, 0.2)], colour)
        frame.stroke([(0.0, 0.1), (-0.28, 0.42)], 0.14, SECOND)
        frame.stroke(arc((-0.42, 0.68), 0.24, 0.26, 0, 360), 0.14, SECOND)
    canvas.disc(0, 0.06, 0.08, DARK)


def closed_scissors(canvas: Canvas) -> None:
    """Blades side by side, and two long handles."""
    canvas.polygon([(-0.18, 0.05), (-0.02, -1), (0.0, 0.15)], MAIN)
    canvas.polygon([(0.18, 0.05), (0.02, -1), (0.0, 0.15)], LIGHT)
    for frame in (canvas, canvas.mirrored()):
        frame.stroke(arc((0.3, 0.55), 0.22, 0.38, 0, 360), 0.16, SECOND)
        frame.stroke([(0.0, 0.02), (0.2, 0.26)], 0.16, SECOND)
    canvas.disc(0, 0.02, 0.09, DARK)


def wide_scissors(canvas: Canvas) -> None:
    """Opened far, with broad blades."""
    for frame, colour in ((canvas, MAIN), (canvas.mirrored(), MAIN)):
        frame.polygon([(-0.1, 0.2), (0.0, -0.08), (0.86, -0.72), (0.92, -0.55), (0.16, 0.26)], colour)
        frame.stroke([(0.0, 0.12), (-0.4, 0.36)], 0.16, SECOND)
        frame.stroke(arc((-0.62, 0.52), 0.26, 0.2, 0, 360), 0.13, SECOND)
    canvas.disc(0, 0.1, 0.1, DARK)


def round_glasses(canvas: Canvas) -> None:
    """Two rings, a bridge, and the ends of the temples."""
    for frame in (canvas, canvas.mirrored()):
        frame.disc(-0.5, 0, 0.36, LIGHT)
        frame.stroke(arc((-0.5, 0), 0.38, 0.38, 0, 360), 0.13, MAIN)
        frame.stroke([(-0.86, -0.12), (-1, -0.2)], 0.1, MAIN)
    canvas.stroke(arc((0, -0.02), 0.13, 0.12, 180, 360), 0.1, MAIN)


def square_glasses(canvas: Canvas) -> None:
    """Heavy frames with corners."""
    for frame in (canvas, canvas.mirrored()):
        frame.box(-0.9, -0.3, -0.14, 0.34, LIGHT)
        frame.stroke([(-0.9, -0.3), (-0.14, -0.3), (-0.2, 0.34), (-0.82, 0.34)], 0.15, MAIN, closed=True)
        frame.stroke([(-0.74, 0.2), (-0.46, -0.16)], 0.06, SECOND)
        frame.stroke([(-0.9, -0.3), (-1, -0.34)], 0.15, MAIN)
    canvas.stroke([(-0.14, -0.2), (0.14, -0.2)], 0.12, MAIN)


def sunglasses(canvas: Canvas) -> None:
    """Dark glasses like drops under one bar."""
    for frame in (canvas, canvas.mirrored()):
        frame.polygon([(-0.94, -0.3), (-0.1, -0.3), *arc((-0.46, -0.12), 0.36, 0.5, 10, 150), (-0.92, 0.0)], DARK)
        frame.stroke([(-0.72, -0.12), (-0.54, 0.14)], 0.08, LIGHT)
    canvas.stroke([(-0.98, -0.32), (0.98, -0.32)], 0.13, MAIN)
    canvas.stroke([(-0.14, -0.12), (0.14, -0.12)], 0.08, MAIN)


def pear_bulb(canvas: Canvas) -> None:
    """A pear of glass with a filament, and a screw base."""
    canvas.disc(0, -0.38, 0.62, MAIN)
    canvas.polygon([(-0.5, -0.05), (0.5, -0.05), (0.24, 0.5), (-0.24, 0.5)], MAIN)
    canvas.stroke(
        [(-0.12, 0.4), (-0.2, -0.3), (-0.08, -0.16), (0, -0.34), (0.08, -0.16), (0.2, -0.3), (0.12, 0.4)], 0.06, DARK
    )
    canvas.stroke(arc((0, -0.38), 0.44, 0.44, 190, 240), 0.09, LIGHT)
    _screw_base(canvas)


def candle_bulb(canvas: Canvas) -> None:
    """Glass like a flame, and a screw base."""
    side = [(0.46 * math.sin(math.pi * t**0.75), 0.48 - 1.48 * t) for t in (i / 24 for i in range(25))]
    canvas.polygon([(0.24, 0.5), *side[2:], *((-x, y) for x, y in reversed(side[2:])), (-0.24, 0.5)], MAIN)
    canvas.stroke([(0, 0.4), (0, 0.0), (-0.12, -0.2), (0, -0.45), (0.12, -0.2), (0, 0.0)], 0.06, DARK)
    _screw_base(canvas)


def ribbed_bulb(canvas: Canvas) -> None:
    """A half ball of milky glass on a ribbed cone."""
    canvas.polygon([(-0.6, -0.3), (0.6, -0.3), (0.26, 0.5), (-0.26, 0.5)], SECOND)
    for x in (-0.6, -0.2, 0.2, 0.6):
        canvas.stroke([(0.85 * x, -0.26), (0.38 * x, 0.44)], 0.06, DARK)
    canvas.polygon(arc((0, -0.3), 0.66, 0.68, 180, 360), MAIN)
    canvas.stroke(arc((0, -0.3), 0.46, 0.46, 200, 250), 0.09, LIGHT)
    _screw_base(canvas)


def _screw_base(canvas: Canvas) -> None:
    canvas.box(-0.25, 0.48, 0.25, 0.88, SECOND)
    for y in (0.55, 0.68, 0.81):
        canvas.stroke([(-0.26, y + 0.03), (0.26, y - 0.03)], 0.07, DARK)
    canvas.polygon([(-0.15, 0.88), (0.15, 0.88), (0.08, 1), (-0.08, 1)], DARK)


def open_book(canvas: Canvas) -> None:
    """Two pages with lines, on their cover."""
    for frame in (canvas, canvas.mirrored()):
        frame.polygon([(0, -0.48), (1, -0.66), (1, 0.62), (0, 0.78)], MAIN)
        frame.polygon([(0, -0.48), (0.3, -0.64), (0.92, -0.62), (0.92, 0.52), (0.3, 0.5), (0, 0.64)], LIGHT)
        for y in (-0.36, -0.12, 0.12, 0.34):
            frame.stroke([(0.2, y), (0.78, y - 0.04)], 0.07, DARK)
    canvas.stroke([(0, -0.48), (0, 0.7)], 0.08, SECOND)


def closed_book(canvas: Canvas) -> None:
    """A cover with a title, the back, and the cut of the pages below."""
    canvas.polygon([(-0.66, 0.72), (0.66, 0.72), (0.74, 0.96), (-0.58, 0.96)], LIGHT)
    canvas.stroke([(-0.6, 0.84), (0.68, 0.84)], 0.04, DARK)
    canvas.box(-0.7, -1, 0.7, 0.74, MAIN)
    canvas.box(-0.7, -1, -0.46, 0.96, SECOND)
    canvas.box(-0.24, -0.68, 0.5, -0.24, LIGHT)
    canvas.stroke([(-0.12, -0.54), (0.38, -0.54)], 0.07, DARK)
    canvas.stroke([(-0.12, -0.38), (0.2, -0.38)], 0.07, DARK)


def pile_of_books(canvas: Canvas) -> None:
    """Three books that lie on each other, their pages to the right."""
    for y, left, right, colour in ((0.62, -1, 0.86, MAIN), (0.08, -0.8, 0.98, SECOND), (-0.46, -0.92, 0.7, MAIN)):
        canvas.box(left, y - 0.25, right, y + 0.25, colour)
        canvas.box(left + 0.22, y - 0.15, right, y + 0.15, LIGHT)
        canvas.stroke([(left + 0.34, y - 0.03), (right - 0.05, y - 0.03)], 0.035, DARK)
        canvas.stroke([(left + 0.34, y + 0.07), (right - 0.05, y + 0.07)], 0.035, DARK)
