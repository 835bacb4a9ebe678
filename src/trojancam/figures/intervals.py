"""Intervals: measured means with the interval around each, as curves or as bars, and the chance level beside them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from trojancam.errors import DataError
from trojancam.figures.curves import COLOURS, GRID, MARKERS
from trojancam.figures.layout import DETAIL, text_width

CHANCE_INK = "#444444"
LEGEND_HANDLE = 0.65  # inches: the line or patch of an entry, and the gap after it
WIDTH = 0.8  # of a group of bars, where groups are 1 apart


@runtime_checkable
class Estimate(Protocol):
    """A mean and the ends of its interval: what the statistics of `evaluation` give."""

    @property
    def mean(self) -> float:
        """The mean."""
        ...

    @property
    def low(self) -> float:
        """The lower end of its interval."""
        ...

    @property
    def high(self) -> float:
        """The upper end."""
        ...


@dataclass(frozen=True)
class Curve:
    """One quantity along an axis: an estimate at every place, and its chance levels, where it has them."""

    name: str
    estimates: Sequence[Estimate]
    chance: Sequence[float] | None = None


@dataclass(frozen=True)
class Bar:
    """One quantity of a group: its estimate and its chance level, where it has one."""

    estimate: Estimate
    chance: float | None = None


def interval_curves(
    panels: Mapping[str, Sequence[Curve]],
    places: Sequence[float],
    *,
    across: str,
    heading: str = "",
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> Figure:
    """Panels of curves over the same places, each mean with its interval as a band, its chance levels dotted.

    `across` names what the places are; `limits` are those of the upright axis (None: as the values need).

    Raises:
        DataError: if there is no panel or no curve, or a curve has not one estimate for each place.

    >>> from trojancam.evaluation.statistics import bootstrap_mean
    >>> import torch
    >>> rising = Curve("energy", [bootstrap_mean(torch.tensor([0.1, 0.2]) * step) for step in (1, 2, 3)], [0.1] * 3)
    >>> len(interval_curves({"layer map": [rising]}, [0.2, 0.4, 1.0], across="opacity").axes)
    1
    """
    curves = [curve for panel in panels.values() for curve in panel]
    if not curves:
        raise DataError("there are no curves to draw")
    for curve in curves:
        if {len(curve.estimates), len(curve.chance or places)} != {len(places)}:
            raise DataError(f"the curve {curve.name!r} needs one estimate, and one chance level, for each place")
    names = list(dict.fromkeys(curve.name for curve in curves))
    figure = Figure(figsize=(3.9 * len(panels) + 0.6, 4.0), layout="constrained")
    for axes, (name, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _axes(axes, name, limits)
        axes.set_xlabel(across, fontsize=9)
        for curve in panel:
            _draw_curve(axes, curve, places, names.index(curve.name))
    handles: list[Line2D | Patch] = [_line(names.index(name), name) for name in names]
    _finish(figure, heading, handles, chance=any(curve.chance for curve in curves), dots=True)
    return figure


def interval_bars(
    groups: Mapping[str, Mapping[str, Bar]],
    *,
    upright: str,
    heading: str = "",
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> Figure:
    """Groups of bars side by side, with the interval of each and its chance level as a line across it.

    `upright` names what is measured; bars of one name have one colour in all groups.

    Raises:
        DataError: if there is no bar.
    """
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    if not names:
        raise DataError("there are no bars to draw")
    figure = Figure(figsize=(max(5.0, 1.6 + 0.36 * len(names) * len(groups)), 3.9), layout="constrained")
    axes = figure.subplots()
    _axes(axes, "", limits)
    axes.set_ylabel(upright, fontsize=9)
    width = WIDTH / len(names)
    for group, bars in enumerate(groups.values()):
        for name, bar in bars.items():
            centre = group - WIDTH / 2 + (names.index(name) + 0.5) * width
            _draw_bar(axes, bar, centre, width, COLOURS[names.index(name) % len(COLOURS)])
    axes.set_xticks(range(len(groups)), list(groups), fontsize=9, parse_math=False)
    handles: list[Line2D | Patch] = [
        Patch(color=COLOURS[index % len(COLOURS)], alpha=0.85, label=name) for index, name in enumerate(names)
    ]
    chance = any(bar.chance is not None for bars in groups.values() for bar in bars.values())
    _finish(figure, heading, handles, chance, dots=False)
    return figure


def _draw_curve(axes: Axes, curve: Curve, places: Sequence[float], index: int) -> None:
    colour = COLOURS[index % len(COLOURS)]
    low, mean, high = ([getattr(each, part) for each in curve.estimates] for part in ("low", "mean", "high"))
    axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(places, mean, color=colour, marker=MARKERS[index % len(MARKERS)], markersize=4, linewidth=1.6)
    if curve.chance:
        axes.plot(places, curve.chance, color=colour, linestyle=(0, (1, 2)), linewidth=1.4)


def _draw_bar(axes: Axes, bar: Bar, centre: float, width: float, colour: str) -> None:
    estimate = bar.estimate
    axes.bar(centre, estimate.mean, 0.88 * width, color=colour, alpha=0.85)
    axes.plot([centre, centre], [estimate.low, estimate.high], color="black", linewidth=1.1)
    if bar.chance is not None:
        ends = [centre - 0.5 * width, centre + 0.5 * width]
        # a dark line on a white one: seen on the bar and beside it alike
        for ink, thickness in (("white", 3.4), (CHANCE_INK, 1.6)):
            axes.plot(ends, [bar.chance, bar.chance], color=ink, linewidth=thickness, solid_capstyle="butt")


def _line(index: int, name: str) -> Line2D:
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    return Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.6, label=name)


def _axes(axes: Axes, name: str, limits: tuple[float, float] | None) -> None:
    axes.set_title(name, loc="left", fontsize=10, parse_math=False)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if limits is None:
        axes.axhline(0, color=CHANCE_INK, linewidth=0.8)
    else:
        axes.set_ylim(*limits)


def _finish(figure: Figure, heading: str, handles: list[Line2D | Patch], chance: bool, dots: bool) -> None:
    """Legend and heading; what a band, a stroke and a chance level are is said once."""
    handles.append(
        Patch(color="#999999", alpha=0.4, label="95 % interval")
        if dots
        else Line2D([], [], color="black", linewidth=1.1, label="95 % interval")
    )
    if chance:
        handles.append(
            Line2D([], [], color=CHANCE_INK, linewidth=1.6, linestyle=(0, (1, 2)) if dots else "-", label="chance")
        )
    widest = max(text_width(str(handle.get_label()), DETAIL) for handle in handles) + LEGEND_HANDLE
    rows = math.ceil(len(handles) / max(1, int(figure.get_figwidth() / widest)))
    columns = math.ceil(len(handles) / rows)
    figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=DETAIL, ncols=columns)
    if heading:
        figure.suptitle(heading, x=0.01, ha="left", fontsize=11, parse_math=False)
