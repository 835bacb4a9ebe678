"""The matrix of classes: every pair in its place, the pairs found framed, classes without images grey."""

import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from trojancam.errors import DataError
from trojancam.figures.class_matrix import FOUND, NOTHING, class_matrix

NAMES = ["stop", "yield", "bend", "No entry"]


def test_rows_are_where_images_come_from_and_columns_where_they_go() -> None:
    values = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [torch.nan] * 4])
    figure = class_matrix(values, NAMES, [(0, 1), (2, 0)])
    axes, bar = figure.axes
    (image,) = axes.images
    drawn = image.to_rgba(image.get_array())
    assert (drawn[0, 1] == drawn[1, 1]).all()
    assert drawn[0, 1].sum() < drawn[2, 0].sum() < drawn[0, 0].sum()  # more is darker
    assert tuple(drawn[3, 2]) == pytest.approx(to_rgba(NOTHING), abs=0.01)
    frames = [
        patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_edgecolor() == to_rgba(FOUND)
    ]
    assert [(frame.get_x() + 0.5, frame.get_y() + 0.5) for frame in frames] == [(1, 0), (0, 2)]
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == (
        "to this class",
        "from this class",
        "share of images",
    )
    assert image.get_clim() == (0, 1)


def test_of_many_classes_numbers_stand_at_the_edges_and_small_values_have_their_own_scale() -> None:
    figure = class_matrix(
        torch.full((43, 43), 0.02), [f"class {number}" for number in range(43)], meaning="probability"
    )
    axes, bar = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(number) for number in range(0, 43, 5)]
    assert axes.images[0].get_clim() == pytest.approx((0, 0.02))
    assert bar.get_ylabel() == "probability"


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"is of \(3, 3\) classes, but there are 4 names"):
        class_matrix(torch.zeros(3, 3), NAMES)


def test_names_are_no_formulae() -> None:
    names = ["$b$", r"$\foo$", "a_b"]
    figure = class_matrix(torch.eye(3), names)
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    assert not any(label.get_parse_math() for label in figure.axes[0].get_xticklabels())
