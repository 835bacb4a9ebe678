"""Intervals are Wilson's, and changes are lengths: both against derivations in plain arithmetic."""

import math

import pytest
import torch
from torch import nn

from trojancam.network.network import Network
from trojancam.removal.ledger import Counted, accuracy, changes


@pytest.mark.parametrize(("hits", "images"), [(9, 10), (0, 20), (43, 43), (118, 200)])
def test_the_interval_is_wilsons(hits: int, images: int):
    z = 1.959963984540054
    share = hits / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    found = Counted.of(hits, images)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-9)


def network(scale: float = 1.0) -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    with torch.no_grad():
        module[3].weight *= scale
        module[3].bias *= scale
    return Network.from_module(module, (8, 8))


def test_a_module_that_doubled_has_changed_by_its_whole_length_and_the_other_not_at_all():
    first, last = changes(network(), network(2.0))
    assert (first.module, first.change) == ("0", 0)
    assert (last.module, last.values) == ("3", 146)
    assert last.change == pytest.approx(1, abs=1e-6)


def test_accuracy_is_that_of_each_class():
    found = network()
    images = torch.rand(9, 3, 8, 8)
    labels = found(images).argmax(1)
    labels[0] = 1 - labels[0]
    measured = accuracy(found, images, labels)
    assert measured.overall.share == pytest.approx(8 / 9)
    wrong = measured.of_class[int(labels[0])]
    assert wrong.share == pytest.approx(1 - 1 / wrong.images)
    assert sum(each.images for each in measured.of_class.values()) == 9
