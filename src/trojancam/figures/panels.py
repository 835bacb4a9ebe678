"""Panels: an image, the heat over it, and the heat of all layers, side by side."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.errors import DataError, unknown_name
from trojancam.figures.captions import BLANK, DOT, blank_reason, cells, number
from trojancam.figures.colour import COLOUR_MAPS, ColourScale, dimmed, pixels
from trojancam.figures.layout import (
    DETAIL,
    INK,
    MARGIN,
    PALE_INK,
    SMALL,
    TITLE,
    UNIT,
    axes_at,
    colour_bar,
    columns_for,
    page,
    say,
    shortened,
    show,
    tidy,
    wrapped,
)
from trojancam.network import given_images

Image = Float[Tensor, "3 height width"]
GivenImage = given_images.One
Mask = Shaped[Tensor, "rows columns"]
GAP = 0.16
BAR = 0.12
BAR_LABELS = 0.6
LINE = 0.15


def overlay(
    image: GivenImage,
    heatmap: Float[Tensor, "h w"],
    *,
    caption: str = "",
    detail: str = "",
    mask: Mask | None = None,
    signed: bool = False,
    colours: str = COLOUR_MAPS[0],
) -> Figure:
    """An image in [0, 1], and beside it a heat map laid over it, with a colour bar of the map's real values.

    The image under the heat is pale grey, so that all colour is heat; cold places show the image. `mask` outlines a
    known trigger. `signed` draws what speaks against the class in blue, on a scale symmetric about 0.

    Raises:
        DataError: if heat map or mask are of another size than the image, or the heat map is not finite, or has values
            below 0 and is not `signed`.
        UnknownNameError: if there is no such colour map.

    >>> import torch
    >>> len(overlay(torch.rand(3, 32, 32), torch.rand(32, 32), caption="Stop").axes)
    3
    """
    image = as_drawn(image)
    _check_sizes(image, heatmap, mask)
    if not bool(heatmap.isfinite().all()):
        raise DataError("the heat map has values that are not finite, so it cannot be drawn")
    if not signed and float(heatmap.amin()) < 0:
        raise DataError(f"the heat map goes down to {float(heatmap.amin()):g}; draw it with signed=True")
    scale = ColourScale.of(heatmap, signed, colours)
    width, height = panel_size(image, 8 * UNIT)
    figure, top = page(2 * MARGIN + 2 * width + 2 * GAP + BAR + BAR_LABELS, height, caption, [detail])
    left = MARGIN + width + GAP
    show(axes_at(figure, MARGIN, top, width, height), pixels(image), mask)
    heat(axes_at(figure, left, top, width, height), image, heatmap, scale, mask=mask, blank=BLANK)
    if not scale.blank:
        bar = axes_at(figure, left + width + GAP / 2, top, BAR, height)
        colour_bar(bar, scale, laid_over=True, level=False)
    return figure


def layer_row(
    image: GivenImage,
    attributions: Mapping[str, Attribution],
    index: int = 0,
    *,
    caption: str = "",
    mask: Mask | None = None,
    shared: bool = False,
    colours: str = COLOUR_MAPS[0],
) -> Figure:
    """The image and the heat maps of all layers over it, each on its own scale with its colour bar and its maximum.

    `index` says which image of the attributions' batch it is. Many layers are set in several rows. `shared` draws all layers on
    the scale of the hottest.

    Raises:
        DataError: if there is no layer, or the image or mask is of another size than the attributions' images.
        UnknownNameError: if there is no such image in the batch, or no such colour map.
    """
    if not attributions:
        raise DataError("there is no layer to draw; record at least one")
    image = as_drawn(image)
    for attribution in attributions.values():
        check_image(image, attribution, index, mask)
    width, height = panel_size(image, 5 * UNIT if len(attributions) > 8 else 6 * UNIT)
    titles, foot = 2 * LINE + 0.06, 0.34
    step = tidy(width + GAP), tidy(titles + height + foot)
    count = len(attributions) + 1
    columns = count if count <= 6 else columns_for(count, *step)
    first = next(iter(attributions.values()))
    body = math.ceil(count / columns) * step[1]
    scales = "one scale for all layers" if shared else "each layer on its own scale"
    details = [DOT.join([first.method, first.target, scales])]
    figure, top = page(2 * MARGIN + columns * step[0] - GAP, body, caption, details)
    places = [(MARGIN + k % columns * step[0], top + k // columns * step[1] + titles) for k in range(count)]
    panels = [axes_at(figure, *place, width, height) for place in places]
    show(panels[0], pixels(image), mask)
    title(panels[0], width, "image", _by(image.shape[1:]))
    heatmaps = {name: attribution.heatmap()[index] for name, attribution in attributions.items()}
    whole = ColourScale.of(torch.stack(list(heatmaps.values())), colours=colours)
    for axes, (left, upper), (name, attribution) in zip(panels[1:], places[1:], attributions.items(), strict=True):
        own = ColourScale.of(heatmaps[name], colours=colours)
        drawn = whole if shared and not own.blank else own
        heat(axes, image, heatmaps[name], drawn, mask=mask, blank=blank_reason(attribution, index))
        title(axes, width, name, f"{cells(attribution)}{DOT}max {number(own.limit)}")
        if not drawn.blank:
            colour_bar(axes_at(figure, left, upper + height + 0.06, width, 0.08), drawn, laid_over=True, level=True)
    return figure


def cell_map(
    image: GivenImage,
    values: Float[Tensor, "rows columns"],
    *,
    caption: str = "",
    detail: str = "",
    mask: Mask | None = None,
    signed: bool = False,
    colours: str = "viridis",
) -> Figure:
    """An image in [0, 1], and beside it a map in its own cells, with a colour bar of the map's real values.

    `mask` outlines a known trigger on the image. `signed` draws what is below 0 in blue, on a scale symmetric about 0; else
    it is drawn as 0.

    Raises:
        DataError: if the mask is of another size than the image, or the map is not finite.
        UnknownNameError: if there is no such colour map.

    >>> import torch
    >>> len(cell_map(torch.rand(3, 32, 32), torch.rand(4, 4), caption="Stop").axes)
    3
    """
    image = as_drawn(image)
    _check_sizes(image, image[0], mask)
    if not bool(values.isfinite().all()):
        raise DataError("the map has values that are not finite, so it cannot be drawn")
    scale = ColourScale.of(values, signed, colours)
    (width, height), (across, down) = panel_size(image, 8 * UNIT), panel_size(values[None], 8 * UNIT)
    body = 2 * MARGIN + width + across + 2 * GAP + BAR + BAR_LABELS
    figure, top = page(body, max(height, down), caption, [detail])
    left = MARGIN + width + GAP
    show(axes_at(figure, MARGIN, top, width, height), pixels(image), mask)
    beside = axes_at(figure, left, top, across, down)
    show(beside, scale.rgb(values))
    if scale.blank:
        say(beside, BLANK)
    else:
        bar = axes_at(figure, left + across + GAP / 2, top, BAR, down)
        colour_bar(bar, scale, laid_over=False, level=False)
    return figure


def image_row(
    images: Shaped[Tensor, "n _ _ _"] | Sequence[GivenImage],
    titles: Sequence[str],
    *,
    heading: str = "",
    mask: Mask | None = None,
) -> Figure:
    """Images in [0, 1] side by side, enlarged pixel by pixel, each with its title: benign and triggered, for example.

    Raises:
        DataError: if there are no images, they differ in size, or there are not as many titles as images.

    >>> import torch
    >>> len(image_row(torch.rand(2, 3, 32, 32), ["benign", "triggered"]).axes)
    2
    """
    if len(images) == 0 or len(images) != len(titles):
        raise DataError(f"draw as many titles as images, at least one; but got {len(images)} and {len(titles)}")
    shown = [as_drawn(image) for image in images]
    for image in shown:
        _check_sizes(image, shown[0][0], mask)
    width, height = panel_size(shown[0], 8 * UNIT if len(shown) <= 3 else 4 * UNIT)
    lines = [wrapped(title, TITLE, width) for title in titles]
    above = max(len(each) for each in lines) * LINE + 0.04
    step = tidy(width + GAP), tidy(above + height + GAP)
    columns = len(shown) if len(shown) <= 4 else columns_for(len(shown), *step)
    body = math.ceil(len(shown) / columns) * step[1] - GAP
    figure, top = page(2 * MARGIN + columns * step[0] - GAP, body, heading)
    for place, image in enumerate(shown):
        upper = tidy(top + place // columns * step[1] + above)
        axes = axes_at(figure, MARGIN + place % columns * step[0], upper, width, height)
        show(axes, pixels(image), mask)
        axes.set_title("\n".join(lines[place]), fontsize=TITLE, color=INK, pad=3, loc="left", parse_math=False)
    return figure


def panel_size(image: Float[Tensor, "_ height width"], longest: float) -> tuple[float, float]:
    """Width and height in inches of a panel for an image (or map) whose longer side becomes `longest`."""
    height, width = image.shape[1:]
    side = longest / max(height, width)
    return tidy(width * side), tidy(height * side)


def as_drawn(image: GivenImage) -> Image:
    """An image as figures have it, floats `3 h w`; bytes, arrays, pictures and `h w 3` become that.

    Raises:
        DataError: if it is none, or several.

    >>> as_drawn(torch.zeros(8, 9, 3, dtype=torch.uint8)).shape
    torch.Size([3, 8, 9])
    """
    if isinstance(image, Tensor) and image.ndim == 3 and len(image) == 3 and image.is_floating_point():
        return image
    size = given_images.size_of(image)
    found = given_images.read(image, (0, 0) if size is None else size, "a figure")
    if len(found) != 1:
        raise DataError(f"one image is drawn, but these are {len(found)}; choose one, such as images[0]")
    return found[0]


def check_image(image: Image, attribution: Attribution, index: int, mask: Mask | None) -> None:
    """Refuse an image that the attribution cannot be about.

    Raises:
        DataError: if image or mask are of another size, or what it holds of this image is not finite.
        UnknownNameError: if the attribution's batch has no such image.
    """
    count = len(attribution)
    if not 0 <= index < count:
        raise unknown_name("image of the batch", index, [f"0 to {count - 1}"])
    if tuple(image.shape[1:]) != tuple(attribution.image_size):
        raise DataError(
            f"the image is {_by(image.shape[1:])}, but the attribution is of images of {_by(attribution.image_size)}"
        )
    if not bool(attribution.terms()[index].isfinite().all()):
        raise DataError(f"layer {attribution.layer!r} has contributions that are not finite, so it cannot be drawn")
    _check_sizes(image, image[0], mask)


def _check_sizes(image: Image, other: Shaped[Tensor, "h w"], mask: Mask | None) -> None:
    for what, plane in (("heat map", other), ("mask", mask)):
        if plane is not None and plane.shape[-2:] != image.shape[-2:]:
            raise DataError(f"the {what} is {_by(plane.shape[-2:])}, but the image is {_by(image.shape[-2:])} pixels")


def heat(
    axes: Axes, image: Image, heatmap: Float[Tensor, "h w"], scale: ColourScale, *, mask: Mask | None, blank: str
) -> None:
    """Heat over the pale image, or the image and the words for `blank`."""
    show(axes, dimmed(image) if scale.blank else scale.over(heatmap, dimmed(image)), mask)
    if scale.blank:
        say(axes, blank)


def title(axes: Axes, width: float, name: str, detail: str) -> None:
    """Two lines over a panel: the name, and smaller what is to be known of it."""
    for words, size, ink, above in ((name, TITLE, INK, DETAIL + 5), (detail, SMALL, PALE_INK, 3)):
        axes.annotate(
            shortened(words, size, width), (0, 1), (0, above), xycoords="axes fraction", textcoords="offset points",
            fontsize=size, color=ink, va="bottom", annotation_clip=False, parse_math=False,
        )  # fmt: skip


def _by(size: Sequence[int]) -> str:
    return "x".join(str(extent) for extent in size)
