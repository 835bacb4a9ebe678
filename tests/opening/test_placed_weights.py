"""Weights are found among arrays by their values, in any order of the axes."""

from itertools import permutations

import numpy as np
import pytest
import torch

from trojancam.opening.placed_weights import Place, places


@pytest.mark.parametrize("axes", list(permutations(range(4))))
def test_weights_lie_in_any_order_of_axes_and_go_back_in_it(axes: tuple[int, ...]):
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    weights = torch.from_numpy(np.ascontiguousarray(kernel.transpose(axes)))
    found = places({"other": kernel + 1, "kernel": kernel}, {"weight": weights})
    assert found == {"weight": Place("kernel", kernel.shape, axes)}
    np.testing.assert_array_equal(found["weight"].given(weights), kernel)
    assert torch.equal(found["weight"].taken(kernel, tuple(weights.shape)), weights)


def test_what_has_another_shape_is_the_same_numbers():
    scale = np.arange(6, dtype=np.float32).reshape(6, 1, 1)
    found = places({"scale": scale}, {"weight": torch.arange(6.0)})
    assert found["weight"].given(torch.arange(6.0) * 2).tolist() == (scale * 2).tolist()


def test_equal_arrays_are_taken_in_their_order_and_names_of_one_weight_share_its_array():
    ones = np.ones(3, np.float32)
    weights = {"first": torch.ones(3), "second": torch.ones(3)}
    assert {name: place.array for name, place in places({"a": ones, "b": ones}, weights).items()} == {
        "first": "a",
        "second": "b",
    }
    assert {place.array for place in places({"a": ones}, weights).values()} == {"a"}
    named = places({"layers/bn/mean": ones, "layers/second/1": ones}, weights)
    assert (named["first"].array, named["second"].array) == ("layers/bn/mean", "layers/second/1")


def test_what_does_not_lie_there_has_no_place():
    whole = np.array([0, 1, 2], np.int64)
    assert places({"whole": whole, "near": np.array([0, 1, 2.001], np.float32)}, {"weight": torch.arange(3.0)}) == {}
