"""Grid: all feature maps of a layer, numbered, on one scale: the maps of a layer are terms of one sum.

One axes holds all tiles, in inches: a layer of hundreds would take seconds with axes for each.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.errors import DataError, unknown_feature_map, unknown_name
from trojancam.figures.captions import DOT, ZERO, describe, number, percent
from trojancam.figures.colour import COLOUR_MAPS, Array, ColourScale, dimmed, pixels
from trojancam.figures.layout import (
    INK,
    MARGIN,
    PALE_INK,
    UNIT,
    axes_at,
    colour_bar,
    columns_for,
    draw_outline,
    outline,
    page,
    show,
    tidy,
)
from trojancam.figures.panels import BAR, BAR_LABELS, GivenImage, Image, Mask, as_drawn, check_image, panel_size
from trojancam.network.placement import stretched
from trojancam.text import MINUS

SCALES = ("shared", "each")
"""How feature maps are scaled in a grid: on one shared scale, or each on its own."""
ORDERS = (None, "energy")
STRIP = 0.16  # inches above a tile, for its number
GAP = 0.06
NUMBER = 7.0  # points
HIGHLIGHT = "#00a651"  # green is in neither colour scale
HATCHING = np.repeat(np.where(np.add.outer(np.arange(48), np.arange(48)) // 6 % 2, 0.9, 0.955)[..., None], 3, axis=2)
NOTHING = 1e-6  # of the layer's peak: a map below that would be noise on a scale of its own


def feature_map_grid(
    image: GivenImage,
    attribution: Attribution,
    index: int = 0,
    *,
    scale: str = "shared",
    signed: bool = False,
    overlay: bool = False,
    order: str | None = None,
    maps: Sequence[int] | None = None,
    highlight: Collection[int] = (),
    mask: Mask | None = None,
    caption: str = "",
    colours: str = COLOUR_MAPS[0],
) -> Figure:
    """All feature maps of a layer for one image of the batch, each with its number and the sign of its weight.

    A tile is `ReLU(C_k)` in the layer's own cells, or (`signed`) `C_k` itself, red for the class and blue against it;
    `overlay` lays it over the pale image instead. All tiles share one scale; `scale="each"` gives each its own, and
    prints its peak, in percent of the greatest, beside its number. `order="energy"` puts the strongest maps first;
    `maps` draws only some, in the order given; `highlight` frames some in green; `mask` outlines a known trigger on all.
    Blank maps are hatched.

    Raises:
        DataError: if the image or mask is of another size than the attribution's images, there is no map to draw, or
            `order` is given beside `maps`.
        UnknownNameError: if there is no such image, scale, order, colour map or feature map.
    """
    image = as_drawn(image)
    check_image(image, attribution, index, mask)
    _check_options(scale, order, maps, highlight, attribution)
    contributions = attribution.contributions[index]
    values = contributions if signed else contributions.relu()
    whole = ColourScale.of(values, signed, colours)
    numbers = _ordered(values, order) if maps is None else list(maps)
    peaks = values.abs().amax((1, 2))
    blank = peaks <= max(ZERO, NOTHING * whole.limit)

    sheet = Sheet.of(len(numbers), panel_size(image, _longest(len(numbers))))
    legend = _legend(whole, scale == "shared", order, blank=bool(blank[numbers].any()), highlighted=len(highlight) > 0)
    figure, top = _page(image, sheet, mask, [caption, describe(attribution), legend])
    axes = axes_at(figure, MARGIN, top, sheet.width, sheet.height)
    scales = [whole if scale == "shared" else ColourScale.of(each, signed, colours) for each in values]
    shown = _placed(attribution, values, overlay)
    tiles = _coloured(shown, scales, dimmed(image) if overlay else None)
    _draw(axes, sheet, [HATCHING if blank[k] else tiles[k] for k in numbers])
    notes = _notes(attribution.weights[index], peaks if scale == "each" else None)
    _number(axes, sheet, numbers, [notes[k] for k in numbers])
    _frame(axes, sheet, [place for place, k in enumerate(numbers) if k in highlight], HIGHLIGHT, 2.2)
    if mask is not None:
        draw_outline(axes, sheet.on_every_tile(outline(mask), mask.shape))
    if not whole.blank:
        bar = axes_at(figure, MARGIN + sheet.width + 0.1, top + STRIP, BAR, sheet.height - STRIP)
        colour_bar(bar, whole, laid_over=overlay, level=False, labels=None if scale == "shared" else _ends(signed))
    return figure


def _placed(attribution: Attribution, values: Float[Tensor, "k h w"], overlay: bool) -> Float[Tensor, "k _ _"]:
    """The maps as tiles show them: laid over the image, or cell by cell; cells that do not fill the image where they lie."""
    fills = attribution.placement == stretched(attribution.cells, attribution.image_size)
    return values if fills and not overlay else attribution.at_image_size(values[None], smooth=overlay)[0]


@dataclass(frozen=True)
class Sheet:
    """Where the tiles of a grid are, in inches from its upper left corner: a strip for the number, then the map."""

    count: int
    columns: int
    tile: tuple[float, float]

    @classmethod
    def of(cls, count: int, tile: tuple[float, float]) -> "Sheet":
        """A sheet near 16:10 for tiles of this width and height."""
        return cls(count, columns_for(count, tile[0] + GAP, tile[1] + STRIP), tile)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return math.ceil(self.count / self.columns)

    @property
    def step(self) -> tuple[float, float]:
        """From one tile to the next, across and down."""
        return tidy(self.tile[0] + GAP), tidy(self.tile[1] + STRIP)

    @property
    def width(self) -> float:
        """The width of the whole."""
        return self.columns * self.step[0] - GAP

    @property
    def height(self) -> float:
        """The height of the whole."""
        return self.rows * self.step[1]

    def corner(self, place: int) -> tuple[float, float]:
        """The upper left corner of a tile."""
        return place % self.columns * self.step[0], place // self.columns * self.step[1] + STRIP

    def on_every_tile(self, segments: Array, size: torch.Size) -> Array:
        """Segments in an image's pixels, on every tile."""
        inches = segments * np.array([self.tile[0] / size[1], self.tile[1] / size[0]])
        corners = np.array([self.corner(place) for place in range(self.count)])
        return np.asarray((corners[:, None, None] + inches[None]).reshape(-1, 2, 2))


def _check_options(
    scale: str,
    order: str | None,
    chosen: Sequence[int] | None,
    highlight: Collection[int],
    attribution: Attribution,
) -> None:
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    if chosen is not None and (order is not None or not len(chosen)):
        raise DataError(
            "maps names at least one feature map, in the order in which they are drawn; leave order out then"
        )
    maps = attribution.contributions.shape[1]
    for index in (*(chosen or ()), *highlight):
        if not 0 <= index < maps:
            raise unknown_feature_map(attribution.layer, index, maps)


def _ordered(values: Float[Tensor, "k h w"], order: str | None) -> list[int]:
    """The maps' numbers in the order in which they are drawn."""
    energies = values.abs().sum((1, 2))
    chosen = torch.arange(len(values)) if order is None else energies.argsort(descending=True, stable=True)
    return [int(k) for k in chosen]


def _page(image: Image, sheet: Sheet, mask: Mask | None, words: list[str]) -> tuple[Figure, float]:
    """A figure with the image in its upper left corner and the words beside it, and where the sheet begins."""
    thumbnail = panel_size(image, 3 * UNIT)
    width = 2 * MARGIN + max(sheet.width, 12 * UNIT) + BAR + BAR_LABELS
    figure, top = page(
        width, sheet.height, words[0], words[1:], indent=thumbnail[0] + 0.14, least=MARGIN + thumbnail[1] + 0.12
    )
    show(axes_at(figure, MARGIN, MARGIN, *thumbnail), pixels(image), mask)
    return figure, top


def _ends(signed: bool) -> list[str]:
    """The labels of a colour bar that stands for scales of their own."""
    return [f"{MINUS}peak", "0", "peak"] if signed else ["0", "half", "peak"]


def _longest(count: int) -> float:
    """The side of a tile: large where there are few."""
    return next(side for most, side in ((12, 4 * UNIT), (40, 3 * UNIT), (math.inf, 2 * UNIT)) if count <= most)


def _coloured(values: Float[Tensor, "k h w"], scales: list[ColourScale], base: Array | None) -> list[Array]:
    """The colours of each map `h w 3`, laid over an image or plain."""
    pairs = zip(scales, values, strict=True)
    return [scale.rgb(each) if base is None else scale.over(each, base) for scale, each in pairs]


def _draw(axes: Axes, sheet: Sheet, tiles: list[Array]) -> None:
    for place, tile in enumerate(tiles):
        left, top = sheet.corner(place)
        extent = (left, left + sheet.tile[0], top + sheet.tile[1], top)
        axes.imshow(tile.clip(0, 1), extent=extent, interpolation="nearest", aspect="auto")
    axes.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
    axes.set_axis_off()
    _frame(axes, sheet, range(sheet.count), "#808080", 0.4)


def _frame(axes: Axes, sheet: Sheet, places: Iterable[int], colour: str, width: float) -> None:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * sheet.tile
    boxes = [corners + sheet.corner(place) for place in places]
    lines = LineCollection(boxes, colors=colour, linewidths=width, joinstyle="miter", clip_on=False)
    axes.add_collection(lines, autolim=False)


def _number(axes: Axes, sheet: Sheet, numbers: list[int], notes: list[str]) -> None:
    for place, (index, note) in enumerate(zip(numbers, notes, strict=True)):
        left, top = sheet.corner(place)
        axes.text(left, top - 0.02, str(index), fontsize=NUMBER, color=INK, va="bottom")
        axes.text(left + sheet.tile[0], top - 0.02, note, fontsize=NUMBER, color=PALE_INK, va="bottom", ha="right")


def _notes(weights: Float[Tensor, " k"], peaks: Float[Tensor, " k"] | None) -> list[str]:
    """What stands beside each number: the sign of its weight and, if each map has its own scale, its peak."""
    signs = ["+" if weight > 0 else MINUS if weight < 0 else "0" for weight in weights.tolist()]
    if peaks is None:
        return signs
    greatest = float(peaks.amax()) or 1.0
    shares = ["" if peak == 0 else percent(peak / greatest) for peak in peaks.tolist()]
    return [f"{sign}{share}" for sign, share in zip(signs, shares, strict=True)]


def _legend(scale: ColourScale, shared: bool, order: str | None, *, blank: bool, highlighted: bool) -> str:
    """What the marks of the grid mean, in a line."""
    sign = f"+ or {MINUS}: sign of the map's weight"
    peak = f"%: its peak against the greatest, {number(scale.limit)}"
    parts = ["one scale for all maps", sign] if shared else ["each map on its own scale", sign, peak]
    parts += (
        ["strongest first"] * (order is not None) + ["hatched: blank"] * blank + ["green: highlighted"] * highlighted
    )
    return DOT.join(parts)
