"""What is painted on the plates: people, vehicles, arrows. Each function draws in the frame it is given."""

import math
from collections.abc import Sequence

from trojancam.data.rendered.canvas import BLACK, GREEN, RED, WHITE, YELLOW, Canvas, Colour, Number, Point, arc


def arrow(canvas: Canvas, path: Sequence[Point], width: Number, head: Number, colour: Colour) -> None:
    """A line that ends in an arrowhead: `head` is its length, and its width is nine tenths of twice that."""
    (x0, y0), (x1, y1) = path[-2], path[-1]
    length = math.dist((x0, y0), (x1, y1))
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    half = 0.9 * head
    canvas.stroke(path, width, colour)
    canvas.polygon(
        [(x1 + head * dx, y1 + head * dy), (x1 - half * dy, y1 + half * dx), (x1 + half * dy, y1 - half * dx)], colour
    )


def turn(canvas: Canvas) -> None:
    """Mandatory: an arrow from below that bends to the right."""
    path = [(-0.34, 0.6), (-0.34, 0.15), *arc((0.06, 0.15), 0.4, 0.4, 180, 270), (0.2, -0.25)]
    arrow(canvas, path, 0.22, 0.42, WHITE)


def ahead(canvas: Canvas) -> None:
    """Mandatory: an arrow straight up."""
    arrow(canvas, [(0, 0.66), (0, -0.28)], 0.2, 0.44, WHITE)


def ahead_or_turn(canvas: Canvas) -> None:
    """Mandatory: an arrow up, and a branch to the right."""
    arrow(canvas, [(-0.17, 0.68), (-0.17, -0.36)], 0.17, 0.34, WHITE)
    arrow(canvas, [(-0.17, 0.16), (0.32, 0.16)], 0.17, 0.34, WHITE)


def keep(canvas: Canvas) -> None:
    """Mandatory: an arrow down to the right."""
    arrow(canvas, [(-0.46, -0.46), (0.2, 0.2)], 0.24, 0.42, WHITE)


def roundabout(canvas: Canvas) -> None:
    """Mandatory: three arrows in a circle, anticlockwise."""
    for start in (200, 320, 440):
        arrow(canvas, arc((0, 0), 0.58, 0.58, start, start - 70), 0.15, 0.26, WHITE)


def junction(canvas: Canvas) -> None:
    """Right of way: a thick arrow across a thin bar."""
    canvas.box(-0.72, 0.06, 0.72, 0.32, BLACK)
    canvas.box(-0.27, -0.4, 0.27, 0.88, BLACK)
    canvas.polygon([(-0.46, -0.28), (0, -1.05), (0.46, -0.28)], BLACK)


def exclamation(canvas: Canvas) -> None:
    """General caution."""
    canvas.polygon([(-0.19, -1.0), (0.19, -1.0), (0.1, 0.35), (-0.1, 0.35)], BLACK)
    canvas.disc(0, 0.7, 0.19, BLACK)


def curve(canvas: Canvas) -> None:
    """A curve to the left."""
    path = [(0.5, 0.78), (0.5, 0.4), *arc((0.05, 0.4), 0.45, 0.45, 0, -90), (-0.2, -0.05)]
    arrow(canvas, path, 0.32, 0.44, BLACK)


def double_curve(canvas: Canvas) -> None:
    """Two curves, the first to the left."""
    canvas.stroke([(0.3, 0.8), (0.3, 0.2), (-0.26, 0.3), (-0.26, -0.3)], 0.28, BLACK)
    canvas.polygon([(-0.62, -0.25), (-0.26, -0.9), (0.1, -0.25)], BLACK)


def bumps(canvas: Canvas) -> None:
    """A road with two bumps."""
    canvas.box(-1.2, 0.54, 1.2, 0.76, BLACK)
    for x in (-0.52, 0.52):
        canvas.polygon(arc((x, 0.58), 0.5, 0.6, 180, 360), BLACK)


def skidding_car(canvas: Canvas) -> None:
    """A car seen from behind, and the waves of its tyres."""
    for side in (-0.3, 0.3):
        wave = [(side + 0.22 * math.sin(4.6 * t) - 0.1 * t, 0.3 + 0.62 * t) for t in (i / 20 for i in range(21))]
        canvas.stroke(wave, 0.13, BLACK)
    canvas.polygon([(-0.42, -0.32), (-0.3, -0.78), (0.36, -0.7), (0.5, -0.26)], BLACK)
    canvas.polygon([(-0.28, -0.36), (-0.2, -0.64), (0.28, -0.58), (0.34, -0.32)], WHITE)
    canvas.polygon([(-0.66, -0.36), (0.64, -0.24), (0.62, 0.1), (-0.68, -0.02)], BLACK)
    canvas.polygon([(-0.64, -0.04), (-0.38, -0.02), (-0.4, 0.16), (-0.66, 0.14)], BLACK)
    canvas.polygon([(0.36, 0.06), (0.62, 0.08), (0.6, 0.26), (0.34, 0.24)], BLACK)


def narrowing_road(canvas: Canvas) -> None:
    """Two kerbs, of which the right one comes closer."""
    canvas.box(-0.46, -0.85, -0.2, 0.88, BLACK)
    canvas.stroke([(0.58, 0.76), (0.54, 0.22), (0.18, -0.14), (0.18, -0.74)], 0.24, BLACK)


def worker(canvas: Canvas) -> None:
    """A man who shovels at a heap."""
    canvas.polygon(arc((0.86, 0.9), 0.5, 0.62, 180, 360), BLACK)
    canvas.disc(-0.06, -0.72, 0.2, BLACK)
    canvas.stroke([(-0.16, -0.4), (-0.46, 0.08)], 0.34, BLACK)
    canvas.stroke([(-0.46, 0.12), (-0.16, 0.42), (-0.22, 0.82)], 0.19, BLACK)
    canvas.stroke([(-0.5, 0.12), (-0.66, 0.5), (-0.9, 0.82)], 0.19, BLACK)
    canvas.stroke([(-0.1, -0.36), (0.2, -0.1), (0.14, 0.2)], 0.14, BLACK)
    canvas.stroke([(-0.3, 0.06), (0.56, 0.42)], 0.09, BLACK)


def traffic_lights(canvas: Canvas) -> None:
    """Red, yellow, green."""
    for y, colour in ((-0.62, RED), (0.05, YELLOW), (0.72, GREEN)):
        canvas.disc(0, y, 0.29, BLACK)
        canvas.disc(0, y, 0.245, colour)


def pedestrian(canvas: Canvas) -> None:
    """A man who walks."""
    canvas.disc(0.06, -0.86, 0.17, BLACK)
    _limbs(canvas, 0.3, [(0.05, -0.5), (-0.02, 0.04)])
    _limbs(canvas, 0.19, [(0.0, 0.04), (0.24, 0.42), (0.42, 0.86)], [(-0.04, 0.04), (-0.16, 0.46), (-0.46, 0.86)])
    _limbs(canvas, 0.12, [(0.12, -0.54), (0.34, -0.22), (0.5, -0.12)], [(-0.04, -0.54), (-0.3, -0.3), (-0.36, 0.0)])


def children(canvas: Canvas) -> None:
    """Two children who run hand in hand."""
    _child(canvas.at(0.36, 0.02, 0.92))
    _child(canvas.at(-0.62, 0.32, 0.68))


def _child(canvas: Canvas) -> None:
    canvas.disc(0.04, -0.8, 0.21, BLACK)
    _limbs(canvas, 0.34, [(0.0, -0.36), (0.0, 0.08)])
    _limbs(canvas, 0.18, [(0.06, 0.14), (0.42, 0.3), (0.4, 0.78)], [(-0.06, 0.14), (-0.16, 0.52), (-0.56, 0.72)])
    _limbs(canvas, 0.14, [(0.1, -0.44), (0.42, -0.2), (0.62, -0.42)], [(-0.1, -0.44), (-0.4, -0.2), (-0.62, -0.16)])


def bicycle(canvas: Canvas) -> None:
    """A bicycle from the side."""
    rear, front, pedals, saddle, head = (-0.68, 0.4), (0.68, 0.4), (-0.12, 0.42), (-0.34, -0.2), (0.42, -0.24)
    for hub in (rear, front):
        canvas.stroke(arc(hub, 0.44, 0.44, 0, 360), 0.13, BLACK)
    _limbs(canvas, 0.12, [rear, pedals, head, saddle, rear], [saddle, pedals], [front, (0.36, -0.5), (0.14, -0.52)])
    _limbs(canvas, 0.13, [saddle, (-0.4, -0.4)], [(-0.58, -0.42), (-0.24, -0.42)])


def snowflake(canvas: Canvas) -> None:
    """Six arms with branches."""
    for i in range(6):
        angle = math.radians(90 + 60 * i)
        _limbs(canvas, 0.14, [(0, 0.08), _polar(0.86, angle)])
        for side in (-0.45, 0.45):
            _limbs(canvas, 0.12, [_polar(0.46, angle), _polar(0.78, angle + side)])


def _polar(radius: Number, angle: Number) -> Point:
    return radius * math.cos(angle), 0.08 + radius * math.sin(angle)


def deer(canvas: Canvas) -> None:
    """A deer that leaps to the left."""
    canvas.polygon(
        [(-0.5, -0.22), (-0.2, -0.2), (0.42, 0.06), (0.66, 0.3), (0.4, 0.56), (-0.1, 0.3), (-0.42, 0.2)], BLACK
    )
    _limbs(canvas, 0.22, [(-0.36, 0.0), (-0.6, -0.42)])
    _limbs(canvas, 0.17, [(-0.6, -0.44), (-0.86, -0.3)])
    _limbs(canvas, 0.075, [(-0.56, -0.5), (-0.3, -0.78), (-0.34, -1.0)], [(-0.42, -0.64), (-0.1, -0.74)])
    _limbs(canvas, 0.12, [(-0.34, 0.12), (-0.72, 0.26), (-0.62, 0.52)], [(-0.2, 0.2), (-0.5, 0.42), (-0.34, 0.64)])
    _limbs(canvas, 0.15, [(0.56, 0.34), (0.78, 0.56), (1.12, 0.68)], [(0.42, 0.44), (0.6, 0.72), (0.92, 0.86)])
    _limbs(canvas, 0.1, [(0.6, 0.2), (0.76, 0.14)])


def _limbs(canvas: Canvas, width: Number, *lines: Sequence[Point]) -> None:
    for line in lines:
        canvas.stroke(line, width, BLACK)


def two_cars(canvas: Canvas, passing: Colour = RED) -> None:
    """No passing: a coloured car on the left, a black one on the right."""
    _car(canvas.at(-0.34, 0.02, 0.29), passing)
    _car(canvas.at(0.34, 0.02, 0.29), BLACK)


def truck_and_car(canvas: Canvas, passing: Colour = RED) -> None:
    """No passing for trucks: a coloured truck on the left, a black car on the right."""
    canvas.box(-0.64, -0.38, -0.06, 0.16, passing)
    canvas.box(-0.6, 0.14, -0.1, 0.21, passing)
    for left in (-0.6, -0.24):
        canvas.box(left, 0.2, left + 0.14, 0.31, passing)
    _car(canvas.at(0.34, 0.1, 0.26), BLACK)


def _car(canvas: Canvas, colour: Colour) -> None:
    """A car seen from behind."""
    canvas.polygon([(-0.7, -0.1), (-0.5, -0.66), (0.5, -0.66), (0.7, -0.1)], colour)
    canvas.polygon([(-0.5, -0.12), (-0.38, -0.48), (0.38, -0.48), (0.5, -0.12)], WHITE)
    canvas.box(-1.0, -0.14, 1.0, 0.42, colour)
    for left in (-0.9, 0.5):
        canvas.box(left, 0.4, left + 0.4, 0.76, colour)


def truck(canvas: Canvas) -> None:
    """A truck from the side, on its way to the left."""
    canvas.box(-0.26, -0.32, 0.62, 0.14, BLACK)
    canvas.box(-0.6, 0.1, 0.62, 0.2, BLACK)
    canvas.polygon([(-0.64, 0.2), (-0.64, 0.0), (-0.5, -0.2), (-0.3, -0.2), (-0.3, 0.2)], BLACK)
    canvas.polygon([(-0.56, 0.0), (-0.46, -0.13), (-0.36, -0.13), (-0.36, 0.0)], WHITE)
    for x in (-0.44, 0.34):
        canvas.disc(x, 0.22, 0.15, WHITE)
        canvas.disc(x, 0.22, 0.11, BLACK)
