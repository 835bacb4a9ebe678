"""Curves: what a network still says as pixels are removed from its images."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from trojancam.errors import DataError

# Colours that stay apart for colour-blind eyes (Okabe and Ito); further methods repeat them with other markers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D")
GRID = "#e3e6e8"


def removal_curves(
    panels: Mapping[str, Mapping[str, Float[Tensor, "2 p"]]], percentiles: Sequence[float], heading: str = ""
) -> Figure:
    """One panel for each layer: each method's mean probability against the share of pixels removed.

    A curve holds two rows: the most relevant pixels removed first (full line) and the least relevant first (dashed). A
    good map's full line falls fast, and its dashed line stays high.

    Raises:
        DataError: if there is no panel.
    """
    if not panels:
        raise DataError("there are no curves to draw")
    methods = list(dict.fromkeys(method for curves in panels.values() for method in curves))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns + 2.2, 2.9 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (name, curves) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(name, loc="left", fontsize=10)
        for method, (most, least) in curves.items():
            style = _style(methods.index(method))
            axes.plot(percentiles, most.numpy(), **style)
            axes.plot(percentiles, least.numpy(), linestyle=(0, (3, 2)), **style)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_ylim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("pixels removed, %", fontsize=9)
    figure.supylabel("mean probability", fontsize=9)
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11)
    handles = [Line2D([], [], **_style(index), label=method) for index, method in enumerate(methods)]
    handles += [
        Line2D([], [], color="#555", label="most relevant first"),
        Line2D([], [], color="#555", linestyle=(0, (3, 2)), label="least relevant first"),
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _style(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index // len(COLOURS) % len(MARKERS)],
        "markersize": 3,
        "linewidth": 1.3,
    }
