"""The plates that signs are painted on: rings, triangles, the octagon, the diamond."""

import math
from itertools import pairwise

from trojancam.data.rendered.canvas import BLACK, BLUE, GREY, RED, WHITE, YELLOW, Canvas, Colour, Number, Point, arc

_TRIANGLE: list[Point] = [(0, -1.0), (1.0, 0.732), (-1.0, 0.732)]
_TRIANGLE_TOP = -0.87
_CENTRE_Y = 0.155  # where the middle of a triangle's inscribed circle lies
_INSCRIBED = 0.577  # that circle's radius, for sides of length 2


def ring(canvas: Canvas) -> None:
    """The red ring of a prohibition."""
    _discs(canvas, (1.0, WHITE), (0.97, RED), (0.735, WHITE))


def end_disc(canvas: Canvas) -> None:
    """The white disc that ends a prohibition (its stripes come last)."""
    _discs(canvas, (1.0, WHITE), (0.97, GREY), (0.93, WHITE))


def mandatory_disc(canvas: Canvas) -> None:
    """The blue disc of an order."""
    _discs(canvas, (1.0, WHITE), (0.95, BLUE))


def no_entry_disc(canvas: Canvas) -> None:
    """The red disc with a white bar."""
    _discs(canvas, (1.0, WHITE), (0.96, RED))
    canvas.box(-0.72, -0.19, 0.72, 0.19, WHITE)


def warning_triangle(canvas: Canvas) -> None:
    """The red triangle of a warning, point up."""
    for inset, colour in ((0.0, WHITE), (0.025, RED), (0.175, WHITE)):
        _rounded(canvas, _inset_triangle(inset), 0.1 if inset < 0.1 else 0.04, colour)


def yield_triangle(canvas: Canvas) -> None:
    """The red triangle, point down."""
    upside_down = canvas.at(0, 0)
    for inset, colour in ((0.0, WHITE), (0.025, RED), (0.2, WHITE)):
        points = [(x, -y) for x, y in _inset_triangle(inset)]
        _rounded(upside_down, points, 0.1 if inset < 0.1 else 0.04, colour)


def octagon(canvas: Canvas) -> None:
    """The red octagon of Stop."""
    for radius, colour in ((1.0, WHITE), (0.95, RED)):
        corner = radius / math.cos(math.pi / 8)
        canvas.polygon(
            [(corner * math.cos(a), corner * math.sin(a)) for a in ((i + 0.5) * math.pi / 4 for i in range(8))], colour
        )


def diamond(canvas: Canvas) -> None:
    """The yellow diamond of the priority road."""
    for radius, rounding, colour in ((1.0, 0.12, BLACK), (0.97, 0.1, WHITE), (0.62, 0.03, BLACK), (0.59, 0.03, YELLOW)):
        reach = radius + (math.sqrt(2) - 1) * rounding  # where the corner would be if it were sharp
        _rounded(canvas, [(0, -reach), (reach, 0), (0, reach), (-reach, 0)], rounding, colour)


def stripes(canvas: Canvas) -> None:
    """The five diagonal lines that end a prohibition."""
    for offset in (-0.2, -0.1, 0.0, 0.1, 0.2):
        half = math.sqrt(0.92**2 - offset**2)
        canvas.stroke([_turned(-half, offset), _turned(half, offset)], 0.062, BLACK)


def _turned(along: Number, across: Number) -> Point:
    """A point of a band that rises to the right at 45 degrees."""
    return (along + across) / math.sqrt(2), (across - along) / math.sqrt(2)


def _discs(canvas: Canvas, *radii_and_colours: tuple[Number, Colour]) -> None:
    for radius, colour in radii_and_colours:
        canvas.polygon(arc((0, 0), radius, radius, 0, 360), colour)


def _inset_triangle(inset: Number) -> list[Point]:
    """The triangle (sides of length 2, in the middle of its box), its sides moved inward by `inset`."""
    shrink = 1 - inset / _INSCRIBED
    shift = _TRIANGLE_TOP + 1.0
    return [(shrink * x, shift + _CENTRE_Y + shrink * (y - _CENTRE_Y)) for x, y in _TRIANGLE]


def _rounded(canvas: Canvas, points: list[Point], rounding: Number, colour: Colour) -> None:
    """Fill a polygon whose corners are rounded: a smaller one, with a thick round stroke around it."""
    x = sum(p[0] for p in points) / len(points)
    y = sum(p[1] for p in points) / len(points)
    near = min(math.dist((x, y), ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)) for a, b in pairwise(points))
    shrink = 1 - rounding / near
    inner = [(x + shrink * (px - x), y + shrink * (py - y)) for px, py in points]
    canvas.polygon(inner, colour)
    canvas.stroke(inner, 2 * rounding, colour, closed=True)
