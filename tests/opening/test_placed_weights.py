"""Weights are found among arrays by their values, in any order of the axes."""

from itertools import permutations

import numpy as np
import pytest
import torch

from trojancam.opening.placed_weights import Place, places, told_apart


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


@pytest.mark.parametrize("numbers", [1, 2, 5])
def test_arrays_that_hold_the_same_are_given_numbers_of_their_own(numbers: int):
    arrays = {f"{index}": np.zeros(numbers, np.float32) for index in range(20)} | {
        "sole": np.full(numbers, 0.5, np.float32)
    }
    weights = {"bias": torch.zeros(numbers), "scale": torch.full((numbers,), 0.5)}
    apart = told_apart(arrays, weights)
    assert apart.keys() == arrays.keys() - {"sole"}
    held = {tuple(sorted(values.tolist())) for values in apart.values()}
    assert len(held) == 20
    assert all(min(values) > 0 and values != (0.5,) * numbers for values in held)  # as a variance must be
    found = places(apart | {"sole": arrays["sole"]}, {"bias": torch.from_numpy(apart["7"])})
    assert found["bias"].array == "7"


def test_arrays_that_hold_no_weights_stay_as_they_are():
    arrays = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32), "c": np.zeros(2, np.float32)}
    assert told_apart(arrays, {"weight": torch.zeros(2)}) == {}
