"""Drawn cells: what is drawn is what the masks say, and maps are scored as by hand."""

import pytest
import torch
from scipy import ndimage
from tests.nets import methods_for
from torch import nn

from trojancam.attribution import attribute
from trojancam.errors import DataError
from trojancam.evaluation.known_pixels import CLASS_NAMES, NO_CELL, drawn, pixels_found
from trojancam.network.network import Network
from trojancam.network.targets import logit


def test_ten_classes_in_turn_and_the_same_seed_draws_the_same():
    known = drawn(40, 32, seed=3)
    assert len(CLASS_NAMES) == 10
    assert torch.bincount(known.labels).tolist() == [4] * 10
    assert ((known.images >= 0) & (known.images <= 1)).all()
    assert torch.equal(drawn(40, 32, seed=3).images, known.images)
    assert not torch.equal(drawn(40, 32, seed=4).images, known.images)
    assert torch.equal(drawn(20, 32, seed=3).images, known.images[:20])


def test_masks_hold_what_the_class_says():
    known = drawn(200, 48)
    for label, cell, telling in zip(known.labels.tolist(), known.cells, known.telling, strict=True):
        shape, spots = divmod(label, 3)
        assert (telling & ~cell).sum() == 0
        assert cell.any() == (label != NO_CELL)
        if label == NO_CELL:
            continue
        pieces = ndimage.label(telling.numpy())[1]
        assert pieces == spots + (shape == 2)
        assert ndimage.label(cell.numpy())[1] == 1


def test_spots_are_bright_and_the_ground_is_not():
    known = drawn(90, 32)
    brightness = known.images.mean(1)
    spotted = (known.labels < NO_CELL) & (known.labels % 3 > 0) & (known.labels < 6)
    assert float(brightness[spotted][known.telling[spotted]].min()) > 0.85
    assert float(brightness[~known.cells].max()) < 0.6


class Bright(nn.Module):
    """As many bright pixels as there are speak for the class that the weights say; the convolution keeps their brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 1, 1), nn.Linear(1, 10)
        nn.init.constant_(self.conv.weight, 1 / 3)
        nn.init.constant_(self.conv.bias, -0.85)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.head.weight.data[2] = 1.0  # round, two spots
        self.head.weight.data[5] = 0.5

    def forward(self, images):
        return self.head(self.conv(images).relu().mean((2, 3)))


def test_a_network_that_sees_spots_alone_has_all_its_energy_there_and_numbers_are_those_of_the_maps():
    known, net = drawn(60, 32, seed=1), Network.from_module(Bright(), (32, 32))
    found = pixels_found(net, known, ["grad-cam", "random"], "conv")
    counted = known.labels == 2
    assert found["grad-cam"]["conv"].images == int(counted.sum())
    assert found["grad-cam"]["conv"].energy == pytest.approx(1, abs=1e-3)
    assert found["grad-cam"]["conv"].auc > 0.95
    random = found["random"]["conv"]
    maps = attribute(net, known.images[counted], ["random"], logit(2), "conv")["random"]["conv"].heatmap().double()
    shares = [float(each[mask].sum() / each.sum()) for each, mask in zip(maps, known.telling[counted], strict=True)]
    assert random.energy == pytest.approx(sum(shares) / len(shares), rel=1e-4)
    assert random.chance == pytest.approx(float(known.telling[counted].double().mean()))
    assert random.energy == pytest.approx(random.chance, rel=0.5)
    assert random.auc == pytest.approx(0.5, abs=0.1)
    assert random.in_cell == pytest.approx(random.chance_in_cell, rel=0.2)


def test_small_images_and_a_network_that_gets_nothing_right_are_refused():
    with pytest.raises(DataError, match="cells with spots need images of 24 pixels or more, not 16"):
        drawn(3, 16)
    module = Bright()
    nn.init.constant_(module.head.weight, 0.0)
    nn.init.constant_(module.head.bias, 0.0)
    module.head.bias.data[9] = 1.0
    net = Network.from_module(module, (32, 32))
    assert "grad-cam" in methods_for(net)
    with pytest.raises(DataError, match="gets no image with known pixels right"):
        pixels_found(net, drawn(20))
