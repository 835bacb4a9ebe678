"""Preferences: gradient ascent reaches what a feature map answers to, and says where it cannot."""

import pytest
import torch
from torch import nn

import trojancam as tc
from trojancam.attribution.preferences import preferred_image


def network() -> tc.Network:
    """One layer of two maps: the first is excited by red, the second by nothing."""
    convolution = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, 0] = 1 / 9
        convolution.weight[0, 1] = -1 / 9
        convolution.bias.copy_(torch.tensor([0.0, -1.0]))
    module = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    return tc.Network.from_module(module, (8, 8))


def test_the_image_is_what_the_map_answers_to() -> None:
    image = preferred_image(network(), "0", 0)
    red, green, blue = image[:, 2:6, 2:6].mean((1, 2)).tolist()  # the edge lies in few cells
    assert red > 0.9
    assert green < 0.1
    assert 0.2 < blue < 0.8  # the map does not see it
    assert 0 <= float(image.amin()) <= float(image.amax()) <= 1


def test_it_is_drawn_the_same_again_and_better_than_where_it_began() -> None:
    start = torch.full((3, 8, 8), 0.5)
    start[0] = 0.6
    found = [preferred_image(network(), "0", 0, start=start, steps=5) for _ in range(2)]
    assert torch.equal(*found)
    assert float((found[0][0] - found[0][1]).mean()) > 0.1


def test_a_silent_map_is_refused() -> None:
    with pytest.raises(tc.errors.DataError, match="stays silent"):
        preferred_image(network(), "0", 1)
    with pytest.raises(tc.errors.UnknownNameError):
        preferred_image(network(), "0", 2)
