"""Curves and bars with intervals: what is drawn is what was given, and what cannot be drawn is refused."""

from typing import NamedTuple

import pytest
from matplotlib.patches import Rectangle

from trojancam.errors import DataError
from trojancam.figures import to_png_bytes
from trojancam.figures.intervals import Bar, Curve, interval_bars, interval_curves


class Estimate(NamedTuple):
    mean: float
    low: float
    high: float


RISING = Curve("rising", [Estimate(0.2, 0.1, 0.3), Estimate(0.6, 0.5, 0.8)], [0.05, 0.1])
FLAT = Curve("flat", [Estimate(0.4, 0.3, 0.5)] * 2)


def test_curves_hold_means_bands_and_chance_levels() -> None:
    figure = interval_curves({"one": [RISING, FLAT], "two": [FLAT]}, [0.4, 1.0], across="opacity", heading="$a_b$")
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in first.lines] == [[0.2, 0.6], [0.05, 0.1], [0.4, 0.4]]
    band = first.collections[0].get_paths()[0].vertices
    assert {(0.4, 0.1), (0.4, 0.3), (1.0, 0.5), (1.0, 0.8)} <= {(round(x, 6), round(y, 6)) for x, y in band}
    # the same quantity has the same colour in every panel
    assert second.lines[0].get_color() == first.lines[2].get_color()
    assert first.get_xlabel() == "opacity"
    assert [words.get_text() for words in figure.legends[0].get_texts()] == [
        "rising",
        "flat",
        "95 % interval",
        "chance",
    ]
    assert to_png_bytes(figure)[:4] == b"\x89PNG"


def test_bars_hold_means_intervals_and_chance_levels() -> None:
    groups = {
        "conv_1": {"inside": Bar(Estimate(0.5, 0.4, 0.6), 0.25), "rim": Bar(Estimate(0.1, 0.0, 0.2))},
        "conv_2": {"rim": Bar(Estimate(0.3, 0.2, 0.4))},
    }
    figure = interval_bars(groups, upright="share", limits=None)
    axes = figure.axes[0]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [round(bar.get_height(), 6) for bar in bars] == [0.5, 0.1, 0.3]
    assert bars[1].get_facecolor() == bars[2].get_facecolor() != bars[0].get_facecolor()
    strokes = [tuple(line.get_ydata()) for line in axes.lines]
    assert {(0.4, 0.6), (0.25, 0.25), (0.0, 0.2), (0.2, 0.4)} <= set(strokes)
    # the bars of a group stand beside one another, before the next group begins
    assert bars[0].get_x() < bars[1].get_x() < 0.5 < bars[2].get_x()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="no curves"):
        interval_curves({"empty": []}, [0.1], across="opacity")
    with pytest.raises(DataError, match="'rising' needs one estimate"):
        interval_curves({"one": [RISING]}, [0.1, 0.2, 0.3], across="opacity")
    with pytest.raises(DataError, match="no bars"):
        interval_bars({"empty": {}}, upright="share")
