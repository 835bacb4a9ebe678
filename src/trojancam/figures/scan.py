"""A finding of a scan in pictures: where a benign image is turned by a stimulation, and by the recovered trigger."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.detection.validation import Leads
from trojancam.errors import DataError
from trojancam.figures.colour import Array, ColourScale, dimmed, pixels
from trojancam.figures.layout import (
    INK,
    MARGIN,
    PALE_INK,
    SMALL,
    TITLE,
    UNIT,
    axes_at,
    colour_bar,
    page,
    say,
    show,
    tidy,
    wrapped,
)
from trojancam.figures.panels import GAP, LINE, Image, Mask, panel_size

SIDE = 8 * UNIT
FOOT = 0.34  # inches below a panel, for its colour bar
ROUND = 2  # pixels of the image shown around a recovered trigger
LEAST = 8  # pixels of the image, at least, that are shown of it
FAINT = 0.05  # of the mask's largest value: less is a trace of the search


@dataclass(frozen=True)
class Panel:
    """One picture: an image, heat over it (signed, perhaps), what is outlined, and words over it, `note` in small print."""

    title: str
    image: Image
    note: str = ""
    heat: Float[Tensor, "h w"] | None = None
    mask: Mask | None = None
    signed: bool = False
    blank: str = "blank"


def panel_sheet(rows: Sequence[Sequence[Panel]], heading: str = "", details: Sequence[str] = ()) -> Figure:
    """Rows of panels, each with its own scale and colour bar where there is heat.

    Raises:
        DataError: if there is no panel, or heat or mask are of another size than their image.

    >>> heat = Panel("heat", torch.rand(3, 8, 8), heat=torch.rand(8, 8))
    >>> len(panel_sheet([[Panel("benign", torch.rand(3, 8, 8)), heat]]).axes)
    3
    """
    panels = [panel for row in rows for panel in row]
    if not panels:
        raise DataError("there is no panel to draw; give at least one")
    for panel in panels:
        _check(panel)
    words = [[(wrapped(panel.title, TITLE, SIDE), wrapped(panel.note, SMALL, SIDE)) for panel in row] for row in rows]
    above = max(len(title) + len(note) for row in words for title, note in row) * LINE + 0.06
    step = tidy(SIDE + GAP), tidy(above + SIDE + FOOT)
    width = 2 * MARGIN + max(map(len, rows)) * step[0] - GAP
    figure, top = page(width, len(rows) * step[1], heading, details)
    for down, (row, heads) in enumerate(zip(rows, words, strict=True)):
        for across, (panel, (title, note)) in enumerate(zip(row, heads, strict=True)):
            left, upper = MARGIN + across * step[0], top + down * step[1] + above
            _draw(figure, panel, left, upper)
            _head(figure, left, upper, title, note)
    return figure


def lead_panel(image: Image, leads: Leads, *, title: str, note: str = "", mask: Mask | None = None) -> Panel:
    """Where a finding's stimulation turns the network, over the image: red where its class leads, blue where another does.

    Every pixel shows the window whose centre is nearest.
    """
    height, width = image.shape[1:]
    rows, columns = (_nearest(centres, extent) for centres, extent in ((leads.rows, height), (leads.columns, width)))
    return Panel(title, image, note, leads.lead[rows][:, columns], mask, signed=True)


def trigger_panel(trigger: Trigger, *, title: str, note: str = "") -> Panel:
    """A recovered trigger by itself: what it changes and a few pixels around, enlarged."""
    rows, columns = zoom(trigger)
    return Panel(title, trigger.picture()[:, rows, columns], note)


def zoom(trigger: Trigger) -> tuple[slice, slice]:
    """The rows and columns of the image, a square where it fits, around what a recovered trigger changes.

    >>> from trojancam.attacks.patch import square
    >>> zoom(square(2, 10, 29))
    (slice(7, 15, None), slice(24, 32, None))
    """
    weight = torch.ones(trigger.image_size) if trigger.weight is None else trigger.weight
    inside = weight > FAINT * weight.max()
    ends = [inside.any(1 - axis).nonzero()[:, 0] for axis in (0, 1)]
    spans = [(int(each.min()), int(each.max()) + 1) if len(each) else (0, 1) for each in ends]
    side = max(LEAST, *(stop - start + 2 * ROUND for start, stop in spans))
    slices = []
    for (start, stop), extent in zip(spans, trigger.image_size, strict=True):
        first = min(max(0, (start + stop - side) // 2), max(0, extent - side))
        slices.append(slice(first, min(extent, first + side)))
    return slices[0], slices[1]


def _nearest(centres: Sequence[float], extent: int) -> Tensor:
    """For each pixel of a row or column, which centre is nearest."""
    return (torch.arange(extent)[:, None] - torch.tensor(centres)).abs().argmin(1)


def _check(panel: Panel) -> None:
    for what, plane in (("heat", panel.heat), ("mask", panel.mask)):
        if plane is not None and plane.shape != panel.image.shape[1:]:
            raise DataError(
                f"the {what} of the panel {panel.title!r} is of {tuple(plane.shape)} pixels, but its image of "
                f"{tuple(panel.image.shape[1:])}"
            )


def _draw(figure: Figure, panel: Panel, left: float, upper: float) -> None:
    """The picture, in the middle of its place, and the colour bar below it."""
    width, height = panel_size(panel.image, SIDE)
    axes = axes_at(figure, left + (SIDE - width) / 2, upper + (SIDE - height) / 2, width, height)
    if panel.heat is None:
        show(axes, pixels(panel.image), panel.mask)
        return
    scale = ColourScale.of(panel.heat, panel.signed)
    ground: Array = dimmed(panel.image)
    show(axes, ground if scale.blank else scale.over(panel.heat, ground), panel.mask)
    if scale.blank:
        say(axes, panel.blank)
    else:
        colour_bar(axes_at(figure, left, upper + SIDE + 0.06, SIDE, 0.08), scale, laid_over=True, level=True)


def _head(figure: Figure, left: float, upper: float, title: Sequence[str], note: Sequence[str]) -> None:
    """Words over a panel, the last line just above it."""
    across, down = figure.get_size_inches()
    lines = [(line, TITLE, INK) for line in title] + [(line, SMALL, PALE_INK) for line in note]
    for back, (line, size, ink) in enumerate(reversed(lines)):
        text = figure.text(left / across, 1 - (upper - 0.05 - back * LINE) / down, line, parse_math=False)
        text.set(va="bottom", ha="left", fontsize=size, color=ink)
