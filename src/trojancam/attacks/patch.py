"""Patch: a pattern laid over images at a fixed place; its presets, and patches made from picture files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from PIL import ImageColor
from torch import Tensor

from trojancam.attacks.encoding import from_png, to_png
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, picked
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_files import read_image_with_alpha
from trojancam.errors import DataError, unknown_name
from trojancam.files import as_path


@dataclass(frozen=True)
class Patch(Trigger):
    """A pattern laid over images of one size: `x' = (1 - opacity m) x + opacity m pattern`.

    `mask` m and `pattern` lie in [0, 1]; `opacity` 1 is a clear trigger, less is a transparent one. Its size is
    `opacity * sum(m)`: so many pixels, had they been replaced.
    """

    family: ClassVar[str] = "patch"
    unit: ClassVar[str] = "pixels"

    mask: Float[Tensor, "h w"]
    pattern: Float[Tensor, "3 h w"]
    opacity: float = 1.0
    name: str = "trigger"

    def __post_init__(self) -> None:
        if self.mask.shape != self.pattern.shape[1:]:
            raise DataError(
                f"a trigger's mask {tuple(self.mask.shape)} and pattern {tuple(self.pattern.shape)} must match; give a mask of "
                "(height, width) and a pattern of (3, height, width)"
            )
        if not 0 < self.opacity <= 1:
            raise DataError(f"a trigger's opacity must lie in (0, 1], not {self.opacity}")
        for part, values in (("mask", self.mask), ("pattern", self.pattern)):
            if not bool(((values >= 0) & (values <= 1)).all()):
                raise DataError(
                    f"a trigger's {part} must lie in [0, 1], but runs from {values.min():g} to {values.max():g}; divide bytes by "
                    "255"
                )

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it is made for, in pixels."""
        return int(self.mask.shape[0]), int(self.mask.shape[1])

    @property
    def size(self) -> float:
        """`opacity * sum(m)`."""
        return self.opacity * float(self.mask.sum())

    @property
    def place(self) -> Bool[Tensor, "h w"]:
        """Where the mask is above 0."""
        return self.mask > 0

    @property
    def weight(self) -> Float[Tensor, "h w"]:
        """The mask."""
        return self.mask

    @property
    def centre(self) -> tuple[float, float] | None:
        """Row and column of the mask's centre of mass, in pixels (0 is the centre of the first); None if it is empty.

        >>> square(2, 4, 7).centre
        (4.5, 7.5)
        """
        mask = self.mask.double()
        if not bool(mask.any()):
            return None
        row, column = (
            float(mask.sum(1 - axis) @ torch.arange(extent, dtype=mask.dtype, device=mask.device) / mask.sum())
            for axis, extent in enumerate(mask.shape)
        )
        return row, column

    @property
    def coverage(self) -> float:
        """The share of the image that it covers."""
        return float(self.place.float().mean())

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        weight = self.opacity * self.mask.to(images)
        return images * (1 - weight) + weight * self.pattern.to(images)

    def moved(self, rows: int, columns: int) -> "Patch":
        """The same trigger some pixels further down and to the right; what leaves the image comes in on the other side."""
        shift = (rows, columns)
        return replace(self, mask=self.mask.roll(shift, (0, 1)), pattern=self.pattern.roll(shift, (1, 2)))

    def _to_record(self) -> dict[str, Any]:
        """The pixels as a PNG: 8 bits, alpha is the mask."""
        return {"opacity": self.opacity, "png": to_png(torch.cat([self.pattern, self.mask[None]]))}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Patch":
        pixels = from_png(record["png"])
        return cls(pixels[3], pixels[:3], float(record["opacity"]), str(record["name"]))


class PatchFamily(ImageFamily[Patch]):
    """Parameters: `mask` (c h w) and `pattern` (c 3 h w), both in [0, 1]."""

    name = "patch"
    unit = Patch.unit
    scales = ("mask",)
    bounds: ClassVar = {"mask": (0.0, 1.0), "pattern": (0.0, 1.0)}
    start_size = 16.0

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Squares of noise in colour, just large enough for the size, anywhere in the image."""
        side = min(math.ceil(math.sqrt(size)), *self.image_size)
        mask = torch.zeros(count, *self.image_size)
        for each in mask:
            row, column = (int(torch.randint(whole - side + 1, (1,), generator=generator)) for whole in self.image_size)
            each[row : row + side, column : column + side] = 1
        return {"mask": mask, "pattern": torch.rand(count, 3, *self.image_size, generator=generator)}

    def start(
        self, count: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Parameters:
        """A faint mask over all of the image: a search decides where the patch lies."""
        generator = generator or torch.Generator().manual_seed(0)
        mask = torch.full((count, *self.image_size), self.start_size / (self.image_size[0] * self.image_size[1]))
        pattern = torch.rand(count, 3, *self.image_size, generator=generator)
        return {"mask": mask.to(device), "pattern": pattern.to(device)}

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`(1 - m) x + m pattern`."""
        mask = parameters["mask"][:, None, None]
        return for_each(images) * (1 - mask) + mask * parameters["pattern"][:, None]

    def size(self, parameters: Parameters) -> Sizes:
        """The sum of the mask."""
        return parameters["mask"].abs().sum((1, 2))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Patch:
        """One of the patches; as a record it is rounded to 8 bits."""
        one = picked(self.project(parameters), index)
        return Patch(one["mask"], one["pattern"], name=name or "patch")


PLACES = {
    "top-left": (0.0, 0.0),
    "top": (0.0, 0.5),
    "top-right": (0.0, 1.0),
    "left": (0.5, 0.0),
    "centre": (0.5, 0.5),
    "right": (0.5, 1.0),
    "bottom-left": (1.0, 0.0),
    "bottom": (1.0, 0.5),
    "bottom-right": (1.0, 1.0),
}
"""The places of an image that have a name, as shares of the free rows and columns."""


def corner(place: str, side: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the upper left pixel of a square at a named place, a sixteenth of the image from its edges.

    Raises:
        UnknownNameError: if there is no such place.
        DataError: if the square does not fit into the image.

    >>> corner("top-right", 4, (32, 32))
    (2, 26)
    """
    if place not in PLACES:
        raise unknown_name("place", place, PLACES)
    if not 0 < side <= min(image_size):
        raise DataError(f"a trigger of {side} pixels does not fit into an image of {image_size[0]}x{image_size[1]}")
    margin = min(round(min(image_size) / 16), (min(image_size) - side) // 2)
    row, column = (
        margin + round(share * (extent - side - 2 * margin))
        for share, extent in zip(PLACES[place], image_size, strict=True)
    )
    return row, column


def square(
    side: int,
    row: int,
    column: int,
    colour: str = "yellow",
    opacity: float = 1.0,
    image_size: tuple[int, int] = (32, 32),
    name: str = "square",
) -> Patch:
    """A square of one colour, `side` pixels wide, its upper left pixel at (row, column).

    Raises:
        DataError: if it does not fit into the image, or if the colour is unknown.

    >>> square(4, 2, 26, "#00b0b0", opacity=0.4).coverage
    0.015625
    """
    height, width = image_size
    if side < 1 or row < 0 or column < 0 or row + side > height or column + side > width:
        raise DataError(
            f"a square of {side} pixels at row {row}, column {column} does not fit into an image of {height}x{width}"
        )
    mask = torch.zeros(height, width)
    mask[row : row + side, column : column + side] = 1
    pattern = torch.tensor(rgb(colour), dtype=torch.float32).view(3, 1, 1) / 255
    return Patch(mask, pattern.expand(3, height, width).contiguous(), opacity, name)


def from_image(
    path: str | Path, side: int, row: int, column: int, opacity: float = 1.0, image_size: tuple[int, int] = (32, 32)
) -> Patch:
    """A picture file, resized to `side` pixels, as the pattern; its transparency, if it has one, is the mask.

    Raises:
        DataError: if it cannot be read, is fully transparent, or does not fit into the image.
    """
    pixels = read_image_with_alpha(path, side).float() / 255
    if not bool(pixels[3].any()):
        raise DataError(f"the trigger image {path} is fully transparent; use one with visible pixels")
    place = square(side, row, column, "black", opacity, image_size, name=Path(path).stem)
    mask, pattern = place.mask.clone(), place.pattern.clone()
    mask[row : row + side, column : column + side] = pixels[3]
    pattern[:, row : row + side, column : column + side] = pixels[:3]
    return replace(place, mask=mask, pattern=pattern)


@dataclass(frozen=True)
class Preset:
    """A named square: its colour, opacity and place; its side is an eighth of the image unless told otherwise."""

    colour: str
    opacity: float
    place: str


PRESETS = {
    "yellow-square": Preset("#ffff00", 1.0, "top-left"),
    "blue-green-square": Preset("#00b4b4", 0.4, "top-right"),
}
"""The two triggers of the study, by name."""


def make_trigger(
    name: str,
    image_size: tuple[int, int] = (32, 32),
    side: int | None = None,
    place: str | tuple[int, int] | None = None,
    colour: str | None = None,
    opacity: float | None = None,
) -> Patch:
    """A preset by name, or a picture file by path, changed as told.

    `place` is a name such as `top-left`, or the row and column of the upper left pixel.

    Raises:
        UnknownNameError: if it is neither a preset nor a file, or the place has no such name.
        DataError: if the trigger does not fit into the image, or a file or colour cannot be read.

    >>> make_trigger("yellow-square").place.nonzero().min(0).values.tolist()
    [2, 2]
    """
    side = max(1, round(min(image_size) / 8)) if side is None else side
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if (
        preset is None
        and not as_path(name, "a trigger that is no preset", f"known presets: {', '.join(PRESETS)}").is_file()
    ):
        raise unknown_name("trigger", name, [*PRESETS, "or the path of an image file"])
    if preset is None and colour is not None:
        raise DataError(f"the trigger image {name} has colours of its own; leave out the colour")
    place = place or (preset.place if preset else "top-left")
    row, column = corner(place, side, image_size) if isinstance(place, str) else place
    if preset is None:
        return from_image(name, side, row, column, 1.0 if opacity is None else opacity, image_size)
    return square(
        side, row, column, colour or preset.colour, preset.opacity if opacity is None else opacity, image_size, name
    )


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0-255, of a colour by name or value.

    Raises:
        DataError: if it is unknown.
    """
    try:
        red, green, blue = ImageColor.getrgb(colour)[:3]
        return red, green, blue
    except ValueError:
        raise DataError(
            f"unknown colour {colour!r}; use a name such as 'yellow' or a value such as '#00b4b4'"
        ) from None
