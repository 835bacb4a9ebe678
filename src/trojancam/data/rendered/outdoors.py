"""Silhouettes of things that are found outside: two or three designs each, with what can be seen inside them.

The colours say what a part is: the thing itself (`MAIN`), a second material (`SECOND`), dark and light detail. What colour and
texture these get is drawn for each object (`surfaces.py`).
"""

import math

from trojancam.data.rendered.canvas import Canvas, Colour, Number, Point, arc
from trojancam.data.rendered.materials import DARK, LIGHT, MAIN, SECOND


def _polar(radius: Number, degrees: Number, x: Number = 0, y: Number = 0) -> Point:
    return x + radius * math.cos(math.radians(degrees)), y + radius * math.sin(math.radians(degrees))


def _star(points: int, outer: Number, inner: Number) -> list[Point]:
    step = 180 / points
    return [_polar(inner if i % 2 else outer, i * step - 90) for i in range(2 * points)]


def five_pointed_star(canvas: Canvas) -> None:
    """Five points with a dark half each, as cut in metal."""
    corners = _star(5, 1, 0.42)
    canvas.polygon(corners, MAIN)
    for i in range(0, 10, 2):
        canvas.polygon([(0, 0), corners[i], corners[i + 1]], SECOND)


def outlined_star(canvas: Canvas) -> None:
    """Five broad points with a rim, and a smaller star in them."""
    canvas.polygon(_star(5, 1, 0.5), SECOND)
    canvas.polygon(_star(5, 0.74, 0.36), MAIN)
    canvas.polygon(_star(5, 0.34, 0.16), LIGHT)


def burst(canvas: Canvas) -> None:
    """Eight thin points around a disc."""
    canvas.polygon(_star(8, 1, 0.4), MAIN)
    canvas.disc(0, 0, 0.3, SECOND)
    canvas.disc(0, 0, 0.14, LIGHT)


def block_arrow(canvas: Canvas) -> None:
    """A broad arrow upwards, with a rim."""
    for scale, colour in ((1.0, SECOND), (0.72, MAIN)):
        frame = canvas.at(0, 0.04 * (1 - scale), scale)
        frame.polygon([(0, -1), (0.8, -0.1), (0.36, -0.1), (0.36, 1), (-0.36, 1), (-0.36, -0.1), (-0.8, -0.1)], colour)


def bent_arrow(canvas: Canvas) -> None:
    """An arrow that turns to the right."""
    canvas.stroke([(-0.5, 0.85), *arc((0.1, 0.2), 0.6, 0.6, 180, 270), (0.25, -0.4)], 0.36, MAIN)
    canvas.polygon([(0.2, -0.95), (1, -0.4), (0.2, 0.15)], MAIN)
    canvas.stroke([(-0.5, 0.8), *arc((0.1, 0.2), 0.6, 0.6, 180, 270), (0.2, -0.4)], 0.1, LIGHT)


def feathered_arrow(canvas: Canvas) -> None:
    """An archer's arrow: a head, a shaft and feathers."""
    canvas.stroke([(0, 0.7), (0, -0.6)], 0.17, SECOND)
    canvas.polygon([(0, -1), (0.42, -0.3), (0, -0.48), (-0.42, -0.3)], MAIN)
    for y in (0.35, 0.55, 0.75):
        for side in (-1, 1):
            canvas.polygon([(0, y), (side * 0.4, y + 0.22), (side * 0.4, y + 0.36), (0, y + 0.16)], MAIN)


def pointed_leaf(canvas: Canvas) -> None:
    """An oval with a tip, a rib and veins."""
    right = [(0.62 * math.sin(math.pi * t) * (1.15 - 0.5 * t), 0.75 - 1.75 * t) for t in (i / 24 for i in range(25))]
    canvas.polygon([*right, *((-x, y) for x, y in reversed(right))], MAIN)
    canvas.stroke([(0.06, 1), (0, 0.7), (0, -0.8)], 0.1, SECOND)
    for y in (0.42, 0.1, -0.22):
        for side in (-1, 1):
            canvas.stroke([(0, y), (side * 0.42, y - 0.26)], 0.065, SECOND)


def lobed_leaf(canvas: Canvas) -> None:
    """Five pointed lobes, as of a maple."""
    corners: list[Point] = []
    for degrees, reach in ((-200, 0.85), (-145, 1.0), (-90, 1.1), (-35, 1.0), (20, 0.85)):
        corners += [
            _polar(0.45 * reach, degrees - 24, 0, 0.1),
            _polar(0.72 * reach, degrees - 13, 0, 0.1),
            _polar(reach, degrees, 0, 0.1),
            _polar(0.72 * reach, degrees + 13, 0, 0.1),
            _polar(0.45 * reach, degrees + 24, 0, 0.1),
        ]
    canvas.stroke([(0, 1), (0, 0.1)], 0.1, SECOND)
    canvas.polygon([*corners, (0.1, 0.5), (-0.1, 0.5)], MAIN)
    for degrees, reach in ((-200, 0.6), (-145, 0.72), (-90, 0.82), (-35, 0.72), (20, 0.6)):
        canvas.stroke([(0, 0.3), _polar(reach, degrees, 0, 0.1)], 0.06, SECOND)


def feathered_leaf(canvas: Canvas) -> None:
    """Leaflets on both sides of a stalk, as of an ash."""
    canvas.stroke([(0, 1), (0, -0.6)], 0.08, SECOND)
    for degrees, x, y in ((0, 0.44, 0.42), (-20, 0.46, 0.0), (-35, 0.4, -0.42)):
        for side in (-1, 1):
            _leaflet(canvas, (side * x, y), -90 + side * (90 + degrees))
    _leaflet(canvas, (0, -0.72), -90)


def _leaflet(canvas: Canvas, centre: Point, degrees: Number) -> None:
    along, across = _polar(1, degrees), _polar(1, degrees + 90)
    points = arc((0, 0), 0.42, 0.19, 0, 360)
    canvas.polygon(
        [(centre[0] + x * along[0] + y * across[0], centre[1] + x * along[1] + y * across[1]) for x, y in points], MAIN
    )
    ends = [(centre[0] + t * along[0], centre[1] + t * along[1]) for t in (-0.34, 0.3)]
    canvas.stroke(ends, 0.05, SECOND)


def slim_fish(canvas: Canvas) -> None:
    """A long body, a forked tail, fins, a gill and an eye."""
    canvas.polygon([(0.55, 0), (1, -0.42), (0.86, 0), (1, 0.42)], SECOND)
    canvas.polygon([(-0.2, -0.3), (0.1, -0.62), (0.35, -0.2)], SECOND)
    canvas.polygon([(-0.1, 0.3), (0.12, 0.58), (0.25, 0.22)], SECOND)
    canvas.polygon(arc((-0.15, 0), 0.85, 0.38, 0, 360), MAIN)
    canvas.stroke(arc((-0.75, 0), 0.32, 0.36, -45, 45), 0.07, SECOND)
    canvas.disc(-0.72, -0.08, 0.1, LIGHT)
    canvas.disc(-0.72, -0.08, 0.055, DARK)


def round_fish(canvas: Canvas) -> None:
    """A high body with two bands, long fins and a fan of a tail."""
    canvas.polygon([(0.4, 0), (1, -0.5), (1, 0.5)], SECOND)
    canvas.polygon([(-0.3, -0.4), (0.35, -0.98), (0.4, -0.3)], SECOND)
    canvas.polygon([(-0.3, 0.4), (0.35, 0.98), (0.4, 0.3)], SECOND)
    canvas.polygon([*arc((-0.1, 0), 0.62, 0.62, -90, 90), *arc((-0.1, 0), 0.9, 0.62, 90, 270)], MAIN)
    canvas.stroke([(-0.42, -0.5), (-0.36, 0), (-0.42, 0.5)], 0.13, LIGHT)
    canvas.stroke([(0.08, -0.52), (0.16, 0), (0.08, 0.52)], 0.13, LIGHT)
    canvas.disc(-0.68, -0.1, 0.09, DARK)


def scaled_fish(canvas: Canvas) -> None:
    """A body like a drop, with scales and a mouth."""
    canvas.polygon([(0.5, 0), (0.98, -0.55), (0.98, 0.55)], MAIN)
    canvas.polygon([*arc((-0.35, 0), 0.62, 0.55, 90, 270), (0.1, -0.42), (0.72, 0), (0.1, 0.42)], MAIN)
    for x in (-0.28, 0.0, 0.28):
        for y in (-0.22, 0.0, 0.22):
            canvas.stroke(arc((x - abs(y) * 0.3, y), 0.12, 0.12, -70, 70), 0.05, SECOND)
    canvas.disc(-0.62, -0.14, 0.13, LIGHT)
    canvas.disc(-0.64, -0.14, 0.07, DARK)
    canvas.stroke([(-0.94, 0.16), (-0.72, 0.2)], 0.06, DARK)


def cottage(canvas: Canvas) -> None:
    """A gable, a chimney, a door and two windows."""
    canvas.box(0.4, -0.85, 0.62, -0.2, DARK)
    canvas.box(-0.74, -0.1, 0.74, 0.95, MAIN)
    canvas.polygon([(0, -0.95), (1, -0.02), (-1, -0.02)], SECOND)
    canvas.box(-0.18, 0.35, 0.18, 0.95, DARK)
    for x in (-0.48, 0.48):
        _window(canvas, x, 0.3, 0.17)


def tower_block(canvas: Canvas) -> None:
    """A high house with a sloping roof and six windows."""
    canvas.box(-0.52, -0.55, 0.52, 1, MAIN)
    canvas.polygon([(-0.4, -1), (0.4, -1), (0.68, -0.52), (-0.68, -0.52)], SECOND)
    for y in (-0.28, 0.14):
        for x in (-0.27, 0.27):
            _window(canvas, x, y, 0.15)
    canvas.box(-0.15, 0.5, 0.15, 1, DARK)


def barn(canvas: Canvas) -> None:
    """A roof with two slopes on each side, and a gate with a cross."""
    canvas.polygon(
        [(-0.85, 0.9), (-0.85, -0.1), (-0.55, -0.6), (0, -0.9), (0.55, -0.6), (0.85, -0.1), (0.85, 0.9)], MAIN
    )
    canvas.stroke([(-0.95, 0.0), (-0.58, -0.62), (0, -0.94), (0.58, -0.62), (0.95, 0.0)], 0.16, SECOND)
    canvas.box(-0.4, 0.2, 0.4, 0.9, LIGHT)
    canvas.stroke([(-0.34, 0.26), (0.34, 0.84)], 0.08, DARK)
    canvas.stroke([(0.34, 0.26), (-0.34, 0.84)], 0.08, DARK)
    _window(canvas, 0, -0.3, 0.17)


def _window(canvas: Canvas, x: Number, y: Number, half: Number) -> None:
    canvas.box(x - half, y - half, x + half, y + half, LIGHT)
    canvas.stroke([(x, y - half), (x, y + half)], 0.05, DARK)
    canvas.stroke([(x - half, y), (x + half, y)], 0.05, DARK)


def toadstool(canvas: Canvas) -> None:
    """A half round cap with dots, and a stem with a ring."""
    canvas.polygon([(-0.2, 0), (0.2, 0), (0.3, 0.95), (-0.3, 0.95)], LIGHT)
    canvas.polygon([*arc((0, 0), 0.95, 0.95, 180, 360), *arc((0, 0), 0.95, 0.16, 0, 180)], MAIN)
    canvas.polygon(arc((0, 0.32), 0.36, 0.1, 0, 360), SECOND)
    for x, y, radius in ((0, -0.62, 0.17), (-0.5, -0.32, 0.15), (0.5, -0.34, 0.16), (0.04, -0.2, 0.12)):
        canvas.disc(x, y, radius, LIGHT)


def flat_mushroom(canvas: Canvas) -> None:
    """A flat cap, gills below, a thick stem."""
    canvas.polygon([(-0.26, -0.1), (0.26, -0.1), (0.36, 0.9), (-0.36, 0.9)], SECOND)
    canvas.polygon([(-0.9, -0.2), (0.9, -0.2), (0.3, 0.16), (-0.3, 0.16)], DARK)
    for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
        canvas.stroke([(1.3 * x, -0.18), (0.5 * x, 0.1)], 0.05, LIGHT)
    canvas.polygon([*arc((0, -0.2), 1, 0.52, 180, 360)], MAIN)


def two_mushrooms(canvas: Canvas) -> None:
    """A large and a small one with pointed caps."""
    for x, y, scale in ((-0.2, -0.05, 0.9), (0.55, 0.4, 0.55)):
        frame = canvas.at(x, y, scale)
        frame.stroke([(0.06, 0), (0, 0.5), (0.05, 0.95)], 0.26, SECOND)
        frame.polygon([*arc((0, 0.05), 0.72, 0.95, 180, 360), *arc((0, 0.05), 0.72, 0.14, 0, 180)], MAIN)
        frame.stroke([(-0.4, -0.12), (-0.2, -0.6)], 0.1, LIGHT)


def apple_with_leaf(canvas: Canvas) -> None:
    """Two cheeks, a stalk, a leaf, and a gleam."""
    _apple(canvas, MAIN)
    canvas.stroke([(0, -0.5), (0.08, -0.95)], 0.09, DARK)
    canvas.polygon([(0.08, -0.72), (0.3, -0.98), (0.66, -0.9), (0.46, -0.66)], SECOND)
    canvas.stroke(arc((-0.3, 0.1), 0.36, 0.42, 170, 240), 0.1, LIGHT)


def cut_apple(canvas: Canvas) -> None:
    """Half an apple: the skin as a rim, light flesh, a core with pips."""
    _apple(canvas, MAIN)
    _apple(canvas.at(0, 0.03, 0.82), LIGHT)
    canvas.polygon([(0, -0.3), (0.26, 0.15), (0, 0.6), (-0.26, 0.15)], SECOND)
    canvas.disc(-0.09, 0.16, 0.08, DARK)
    canvas.disc(0.09, 0.16, 0.08, DARK)
    canvas.stroke([(0, -0.5), (-0.06, -0.9)], 0.09, DARK)


def _apple(canvas: Canvas, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.polygon(arc((side * 0.34, 0.08), 0.54, 0.6, 0, 360), colour)
        canvas.polygon(arc((side * 0.22, 0.42), 0.44, 0.52, 0, 360), colour)


def spoked_wheel(canvas: Canvas) -> None:
    """The wheel of a cart: a rim, eight spokes and a hub."""
    for i in range(8):
        canvas.stroke([(0, 0), _polar(0.8, 45 * i)], 0.11, MAIN)
    canvas.stroke(arc((0, 0), 0.86, 0.86, 0, 360), 0.24, MAIN)
    canvas.stroke(arc((0, 0), 0.93, 0.93, 0, 360), 0.09, DARK)
    canvas.disc(0, 0, 0.24, SECOND)
    canvas.disc(0, 0, 0.1, DARK)


def car_wheel(canvas: Canvas) -> None:
    """A dark tyre on a rim with five broad spokes."""
    canvas.disc(0, 0, 1, DARK)
    canvas.disc(0, 0, 0.66, MAIN)
    for i in range(5):
        canvas.polygon([_polar(0.58, 72 * i - 17), _polar(0.58, 72 * i + 17), _polar(0.26, 72 * i)], DARK)
    canvas.disc(0, 0, 0.17, SECOND)
    canvas.stroke(arc((0, 0), 0.84, 0.84, 0, 360), 0.06, SECOND)


def bicycle_wheel(canvas: Canvas) -> None:
    """A thin tyre and rim with twelve wires."""
    for i in range(12):
        canvas.stroke([_polar(0.1, 30 * i + 40), _polar(0.84, 30 * i)], 0.05, SECOND)
    canvas.stroke(arc((0, 0), 0.9, 0.9, 0, 360), 0.18, DARK)
    canvas.stroke(arc((0, 0), 0.78, 0.78, 0, 360), 0.09, MAIN)
    canvas.disc(0, 0, 0.15, MAIN)
