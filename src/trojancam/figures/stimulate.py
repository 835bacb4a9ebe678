"""Stimulation in pictures: heat maps before and after and what lies between them, and answers to growing strength."""

from collections.abc import Iterable

import torch
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import METHODS, from_recording
from trojancam.errors import unknown_name
from trojancam.figures.captions import DOT, cells, number
from trojancam.figures.colour import COLOUR_MAPS, ColourScale, pixels
from trojancam.figures.curves import COLOURS, GRID
from trojancam.figures.layout import MARGIN, UNIT, axes_at, colour_bar, page, show, tidy
from trojancam.figures.panels import GAP, LINE, GivenImage, as_drawn, check_image, heat, panel_size, title
from trojancam.stimulation import DoseResponse, Stimulated

BLANK = "blank"


def before_after(
    image: GivenImage,
    stimulated: Stimulated,
    index: int = 0,
    *,
    layers: Iterable[str] | None = None,
    caption: str = "",
    colours: str = COLOUR_MAPS[0],
    method: str = "grad-cam",
) -> Figure:
    """A row for each layer (or those named): its heat map before and after on one scale, and the difference, signed.

    `index` says which image of the batch it is. The pixels that lie nearest to the stimulated cells are outlined. `method` is
    any that a recording is enough for.

    Raises:
        DataError: if the image is of another size than the batch's, or a map is not finite.
        UnknownNameError: if there is no such image in the batch, layer or colour map.
    """
    image = as_drawn(image)
    chosen = list(stimulated.after.layers if layers is None else layers)
    both = [from_recording(each, [method])[method] for each in (stimulated.before, stimulated.after)]
    for name in chosen:
        if name not in stimulated.after.layers:
            raise unknown_name("recorded layer", name, stimulated.after.layers)
        for cams in both:
            check_image(image, cams[name], index, None)
    mask = stimulated.place
    width, height = panel_size(image, 6 * UNIT)
    above, foot = 2 * LINE + 0.06, 0.34
    step = tidy(width + GAP), tidy(above + height + foot)
    thumbnail = panel_size(image, 3 * UNIT)
    details = [
        DOT.join([METHODS[method].title, stimulated.after.target]),
        "before and after on one scale; outlined: stimulated",
    ]
    figure, top = page(
        2 * MARGIN + 3 * step[0] - GAP, len(chosen) * step[1], caption, details,
        indent=thumbnail[0] + 0.14, least=MARGIN + thumbnail[1] + 0.12,
    )  # fmt: skip
    show(axes_at(figure, MARGIN, MARGIN, *thumbnail), pixels(image), mask)
    for row, name in enumerate(chosen):
        before, after = (cams[name].heatmap()[index] for cams in both)
        shared = ColourScale.of(torch.stack([before, after]), colours=colours)
        signed = ColourScale.of(after - before, signed=True)
        upper = top + row * step[1] + above
        heads = (f"{name}, before", f"{name}, after", "after less before")
        notes = (
            f"max {number(float(before.amax()))}",
            f"max {number(float(after.amax()))}",
            cells(stimulated.cams_after[name]),
        )
        for column, (values, scale) in enumerate(((before, shared), (after, shared), (after - before, signed))):
            left = MARGIN + column * step[0]
            axes = axes_at(figure, left, upper, width, height)
            heat(axes, image, values, scale, mask=mask, blank=BLANK)
            title(axes, width, heads[column], notes[column])
            if not scale.blank:
                bar = axes_at(figure, left, upper + height + 0.06, width, 0.08)
                colour_bar(bar, scale, laid_over=True, level=True)
    return figure


def dose_curves(
    doses: DoseResponse, class_name: str, heading: str = "", labels: Int64[Tensor, " n"] | None = None
) -> Figure:
    """The class's logit, image by image and on average, and the shares of images and of heat-map energy, by strength.

    `labels` are the images' own classes where they are known; images of the target class do not count as successes.
    """
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(doses.strengths, doses.logits.numpy(), color=COLOURS[0], linewidth=0.7, alpha=0.35)
    left.plot(doses.strengths, doses.logits.mean(1).numpy(), color=COLOURS[0], linewidth=2, marker="o", markersize=3)
    _panel(left, "logit: each image, and the mean")
    shares = {
        "images of other classes that become this one": (torch.tensor(doses.success_rates(labels)), "o"),
        "heat-map energy inside the stimulated cells": (doses.energy.nanmean(1), "s"),
    }
    for place, (name, (values, marker)) in enumerate(shares.items()):
        right.plot(
            doses.strengths,
            values.numpy(),
            color=COLOURS[place],
            marker=marker,
            markersize=3,
            linewidth=1.6,
            label=name,
        )
    _panel(right, "share")
    right.set_ylim(-0.03, 1.03)
    figure.legend(loc="outside lower right", frameon=False, fontsize=8, ncols=2)
    words = DOT.join(part for part in (heading, class_name) if part)
    figure.suptitle(words, x=0.01, ha="left", fontsize=11, parse_math=False)
    return figure


def _panel(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=10, parse_math=False)
    axes.set_xlabel("strength", fontsize=9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
