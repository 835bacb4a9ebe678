"""Windows cover a layer's cells, lie where their cells look, and are only laid on layers that can tell places apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.nets import network

from trojancam.detection.windows import Windows, shallow, windows
from trojancam.layers import Layer
from trojancam.placement import Axis, Placement, stretched


def layer(cells: tuple[int, int], placement: Placement) -> Layer:
    return Layer("layer", "conv", "relu", 4, cells, placement)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([32, 48, 224]))
def test_every_cell_lies_in_a_window_and_every_window_in_the_map(rows: int, columns: int, extent: int) -> None:
    grid = windows(layer((rows, columns), stretched((rows, columns), (extent, extent))), (extent, extent))
    masks = grid.masks()
    assert len(grid) == len(masks)
    assert bool(masks.any(0).all())
    assert masks.flatten(1).sum(1).unique().tolist() == [grid.size[0] * grid.size[1]]


@pytest.mark.parametrize(("stride", "size", "count"), [(1, (4, 4), 64), (2, (2, 2), 64), (4, (2, 2), 16)])
def test_a_window_is_an_eighth_of_the_image_and_at_least_two_cells(
    stride: int, size: tuple[int, int], count: int
) -> None:
    grid = windows(layer((32 // stride,) * 2, stretched((32 // stride,) * 2, (32, 32))), (32, 32))
    assert (grid.size, len(grid)) == (size, count)


def test_the_mask_of_a_window_is_at_its_corner() -> None:
    grid = Windows(layer((5, 6), Placement()), (2, 3), (0, 3), (0, 1, 3))
    assert [grid.corner(index) for index in range(6)] == [(0, 0), (0, 1), (0, 3), (3, 0), (3, 1), (3, 3)]
    expected = torch.zeros(5, 6, dtype=torch.bool)
    expected[3:5, 1:4] = True
    assert torch.equal(grid.mask(3, 1), expected)
    assert torch.equal(grid.masks()[4], expected)


def test_the_centre_is_in_pixels_where_the_receptive_fields_are() -> None:
    grid = Windows(layer((14, 14), Placement(Axis(2.0, 2.5), Axis(2.0, 4.5))), (2, 2), (0,), (0,))
    assert grid.centre(0, 0) == (3.5, 5.5)
    assert grid.centre(3, 1) == (9.5, 7.5)


def test_only_layers_that_tell_small_places_apart_are_shallow() -> None:
    names = [name for name, each in network("trojan1")[1].layers.items() if shallow(each, (32, 32))]
    assert names == ["conv2d_1", "conv2d_2"]
    assert not shallow(layer((1, 1), Placement()), (32, 32))
