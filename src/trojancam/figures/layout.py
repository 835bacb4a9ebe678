"""Layout in inches: a page with its heading, axes at exact places, colour bars, outlines and text that fits.

Sides of images are multiples of 0.32 inch and places multiples of 0.02, so that at 100 and 200 dots per inch an image
of 32x32 is drawn with pixels of one size.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray
from torch import Tensor

from trojancam.figures.captions import DOT, number
from trojancam.figures.colour import Array, ColourScale

DPI = 100
UNIT = 0.32
MARGIN = 0.16
HEADING, DETAIL, TITLE, SMALL = 10.5, 8.5, 8.5, 7.5  # points
END = DOT.rstrip()
UNTORN = 18  # characters: `logit -12.3`
INK, PALE_INK = "#1a1a1a", "#5a5a5a"


def page(
    width: float, body: float, heading: str, details: Sequence[str] = (), *, indent: float = 0.0, least: float = 0.0
) -> tuple[Figure, float]:
    """A white figure with its heading and, in smaller print, details; and how far down (inches) its body begins."""
    room = width - 2 * MARGIN - indent
    lines = [(line, HEADING, INK) for line in wrapped(heading, HEADING, room)]
    lines += [(line, DETAIL, PALE_INK) for detail in details for line in wrapped(detail, DETAIL, room)]
    places, y = [], MARGIN
    for _, size, _ in lines:
        places.append(y)
        y += 1.4 * size / 72
    top = tidy(max(y + 0.1 if lines else MARGIN, least))
    height = tidy(top + body + MARGIN)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    for (line, size, ink), place in zip(lines, places, strict=True):
        words = figure.text((MARGIN + indent) / width, 1 - place / height, line, parse_math=False)
        words.set(va="top", ha="left", fontsize=size, color=ink)
    return figure, top


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks at a place in inches, counted from the upper left corner."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="#808080")
    return axes


def show(axes: Axes, picture: Array, mask: Shaped[Tensor, "h w"] | None = None) -> None:
    """Draw `h w 3` with its pixels as they are, and the outline of a mask on it."""
    height, width = picture.shape[:2]
    axes.imshow(picture.clip(0, 1), interpolation="nearest", extent=(0, width, height, 0), aspect="auto")
    if mask is not None:
        draw_outline(axes, outline(mask))


def outline(mask: Shaped[Tensor, "h w"]) -> Array:
    """The border of a mask as segments `m 2 2` of (x, y) on the edges of its pixels, as long as they can be."""
    inside = np.pad((mask > 0).numpy(force=True), 1)
    level = _runs(inside[1:, 1:-1] != inside[:-1, 1:-1])
    upright = _runs((inside[1:-1, 1:] != inside[1:-1, :-1]).T)
    return np.concatenate([level[..., ::-1], upright]).astype(np.float64)


def _runs(edges: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The runs of true values in each row as `m 2 2`: (row, start) and (row, end)."""
    change = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(change == 1), np.argwhere(change == -1)
    return np.stack([starts, ends], axis=1)


def draw_outline(axes: Axes, segments: Array) -> None:
    """A thin black line on a white one: seen on bright and on dark ground alike."""
    for colour, width in (("white", 2.2), ("black", 0.9)):
        axes.add_collection(
            LineCollection(list(segments), colors=colour, linewidths=width, capstyle="projecting"), autolim=False
        )


def colour_bar(
    axes: Axes, scale: ColourScale, *, laid_over: bool, level: bool, labels: list[str] | None = None
) -> None:
    """Fill axes with the colour bar of a scale: its ends and its middle in numbers (or as told)."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    bar = figure.colorbar(
        scale.mappable(laid_over), cax=axes, orientation="horizontal" if level else "vertical", ticks=scale.ticks
    )
    words = labels or [number(value) for value in scale.ticks]
    bar.set_ticks(scale.ticks, labels=words)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=2, colors=INK)
    bar.outline.set_linewidth(0.5)
    if level:  # keep the end labels within the bar's own width
        first, *_, last = bar.ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")


def say(axes: Axes, words: str) -> None:
    """A remark in the middle of axes."""
    lines = wrapped(words, TITLE, axes.bbox.width / DPI - 0.3)
    box = {"facecolor": "white", "edgecolor": "#b0b0b0", "linewidth": 0.5, "boxstyle": "round,pad=0.35"}
    text = axes.text(0.5, 0.5, "\n".join(lines), transform=axes.transAxes, parse_math=False, bbox=box)
    text.set(ha="center", va="center", fontsize=TITLE, color=INK)


def wrapped(text: str, size: float, width: float) -> list[str]:
    """The text in lines that fit into `width` inches at a size in points; a word that does not fit is shortened.

    Where a line ends at a dot between parts, the dot is dropped; short parts such as `p = 0.25` are not torn.
    """
    lines: list[str] = []
    for word in _words(text):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer.removesuffix(END), size) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, size, width))
    return [line.removesuffix(END) for line in lines[:-1]] + lines[-1:]


def _words(text: str) -> list[str]:
    """What a line can be broken between; a dot between parts stays with what is before it."""
    words: list[str] = []
    *parts, last = text.split(DOT)
    for part in [*(f"{part}{END}" for part in parts), last]:
        body = part.removesuffix(END)
        pieces = [body] if len(body) <= UNTORN else body.split()
        words += [*pieces[:-1], *(piece + part[len(body) :] for piece in pieces[-1:])]
    return [word for word in words if word]


def shortened(text: str, size: float, width: float) -> str:
    """The end of a text that does not fit into `width` inches: the end is what tells layers apart.

    >>> shortened("features.denseblock4.denselayer24.conv2", 8.0, 1.2)
    '…enselayer24.conv2'
    """
    short, kept = text, len(text)
    while text_width(short, size) > width and kept > 1:
        kept -= 1
        short = f"…{text[-kept:]}"
    return short


def text_width(text: str, size: float) -> float:
    """How wide a line of text is, in inches."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(width) / 72


def tidy(inches: float) -> float:
    """Rounded up to a multiple of 0.02 inch."""
    return math.ceil(round(inches / 0.02, 6)) * 0.02


def columns_for(count: int, width: float, height: float) -> int:
    """In how many columns to set `count` tiles for a shape near 16:10, with few places left empty.

    >>> columns_for(8, 1.0, 1.0), columns_for(96, 1.0, 1.0)
    (4, 12)
    """

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * width / (rows * height) / 1.6)) + (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)
