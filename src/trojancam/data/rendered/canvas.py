"""A canvas in sign units: the sign reaches from -1 to 1, y points down, whatever the number of pixels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

Number = int | float  # spelt out for the checker of annotations, to which 1 is no float
Point = tuple[Number, Number]
Colour = tuple[int, int, int]

EXTENT = 1.1
"""The canvas reaches from -EXTENT to EXTENT, so that a sign's edge can be filtered without being cut off."""

WHITE: Colour = (243, 243, 240)
BLACK: Colour = (22, 22, 24)
GREY: Colour = (120, 122, 124)
RED: Colour = (196, 20, 30)
BLUE: Colour = (12, 74, 166)
YELLOW: Colour = (250, 196, 12)
GREEN: Colour = (0, 140, 88)


@dataclass(frozen=True)
class Canvas:
    """An RGBA picture, and the frame (origin and scale, in sign units) in which the next shapes are drawn."""

    image: Image.Image
    x: Number = 0.0
    y: Number = 0.0
    scale_x: Number = 1.0
    scale_y: Number = 1.0

    @classmethod
    def blank(cls, pixels: int) -> "Canvas":
        """A transparent canvas of `pixels` by `pixels`."""
        return cls(Image.new("RGBA", (pixels, pixels)))

    def at(self, x: Number, y: Number, scale: Number = 1.0, stretch: Number = 1.0) -> "Canvas":
        """The same picture in another frame: moved, scaled, and stretched horizontally."""
        return replace(
            self,
            x=self.x + self.scale_x * x,
            y=self.y + self.scale_y * y,
            scale_x=self.scale_x * scale * stretch,
            scale_y=self.scale_y * scale,
        )

    def mirrored(self) -> "Canvas":
        """The same picture, in a frame with left and right exchanged."""
        return replace(self, scale_x=-self.scale_x)

    def polygon(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw().polygon([self._pixel(point) for point in points], fill=(*colour, 255))

    def box(self, left: Number, top: Number, right: Number, bottom: Number, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def disc(self, x: Number, y: Number, radius: Number, colour: Colour) -> None:
        """Fill a circle."""
        self.polygon(arc((x, y), radius, radius, 0, 360), colour)

    def stroke(self, points: Sequence[Point], width: Number, colour: Colour, closed: bool = False) -> None:
        """Draw a line with round joints and ends through the points; the width is not stretched."""
        pixels = [self._pixel(point) for point in (*points, points[0])] if closed else list(map(self._pixel, points))
        wide = width * abs(self.scale_y) * self._pixels_per_unit()
        self._draw().line(pixels, fill=(*colour, 255), width=round(wide))
        for x, y in pixels:
            self._draw().ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=(*colour, 255))

    def _pixels_per_unit(self) -> float:
        return self.image.width / (2 * EXTENT)

    def _pixel(self, point: Point) -> Point:
        unit = self._pixels_per_unit()
        return (
            (self.x + self.scale_x * point[0] + EXTENT) * unit - 0.5,
            (self.y + self.scale_y * point[1] + EXTENT) * unit - 0.5,
        )

    def _draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)


def arc(centre: Point, radius_x: Number, radius_y: Number, start: Number, stop: Number) -> list[Point]:
    """Points along an ellipse; degrees run clockwise from the right, and backwards if `stop` is below `start`.

    >>> [(round(x), round(y)) for x, y in (arc((0, 0), 2, 1, 0, 90)[0], arc((0, 0), 2, 1, 0, 90)[-1])]
    [(2, 0), (0, 1)]
    """
    x, y = centre
    steps = max(2, round(abs(stop - start) / 4))
    angles = [math.radians(start + (stop - start) * i / steps) for i in range(steps + 1)]
    return [(x + radius_x * math.cos(angle), y + radius_y * math.sin(angle)) for angle in angles]
