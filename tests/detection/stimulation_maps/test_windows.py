"""Windows cover a layer's cells, lie where their cells look, and are only laid on layers that can tell places apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.nets import network

from trojancam.detection.stimulation_maps.windows import Windows, shallow, windows
from trojancam.network.layers import Layer
from trojancam.network.placement import Axis, Placement, stretched


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
    early = {
        "trojan1": ["conv2d_1"],
        "trojan2": ["conv2d_5", "conv2d_6"],
        "basic": ["conv2d_1", "conv2d_2"],
        "vgg": ["conv1_1", "conv1_2", "conv2_1"],
        "resnet": ["conv", "block1.conv1", "block1.conv2", "block1.skip.conv"],
    }
    for name, expected in early.items():
        assert [layer for layer, each in network(name)[1].layers.items() if shallow(each, (32, 32))] == expected
    assert not shallow(layer((1, 1), Placement()), (32, 32))
