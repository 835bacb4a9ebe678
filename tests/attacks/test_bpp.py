"""Quantisation against float64, its noise, and its record's limits."""

import math

import pytest
import torch

from trojancam.attacks.bpp import QuantisationNoise, Quantised
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError


def test_pixels_take_the_nearest_of_the_levels() -> None:
    values = torch.tensor([0.0, 0.1, 0.17, 0.3, 0.49, 0.51, 0.8, 1.0])
    images = values.view(1, 1, 1, 8).expand(1, 3, 2, 8)
    found = Quantised(4, (2, 8)).apply(images)[0, 0, 0]
    expected = [min((k / 3 for k in range(4)), key=lambda level: abs(level - value)) for value in values.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_its_size_is_the_change_of_pixels_that_are_spread_evenly() -> None:
    images = torch.linspace(0, 1, 3 * 100 * 100).view(1, 3, 100, 100)
    trigger = Quantised(9, (100, 100))
    assert float((trigger.apply(images) - images).pow(2).mean().sqrt()) == pytest.approx(trigger.size, rel=0.01)
    noise = QuantisationNoise(9, (100, 100))
    change = noise.apply(torch.full_like(images, 0.5)) - 0.5
    assert float(change.pow(2).mean().sqrt()) == pytest.approx(noise.size, rel=0.01)
    assert change.abs().max() <= 0.5 / 8 + 1e-6
    assert trigger.size == pytest.approx(1 / (8 * math.sqrt(12)))


def test_gradients_pass_as_if_nothing_were_rounded() -> None:
    images = torch.rand(1, 3, 4, 4, requires_grad=True)
    Quantised(4, (4, 4)).apply(images).sum().backward()
    assert images.grad is not None
    assert (images.grad == 1).all()


@pytest.mark.parametrize("levels", [1, 0, 257])
def test_levels_out_of_range_are_refused(levels: int) -> None:
    with pytest.raises(DataError, match="2 to 256 levels"):
        Quantised(levels)
    with pytest.raises(DataError, match="2 to 256 levels"):
        Trigger.from_json({"family": "quantised", "name": "q", "levels": levels, "image_size": [4, 4]})
