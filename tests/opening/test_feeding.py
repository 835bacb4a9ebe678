"""How a network is fed: found on labelled images only where nobody vouches for it."""

import pytest
import torch
from tests.opening.test_preprocessing import images_and_labels, network

from trojancam.network.input import UNKNOWN, Feeding
from trojancam.opening import feeding
from trojancam.opening.feeding import with_feeding_found


def test_a_network_for_which_somebody_vouches_stays_as_it_is() -> None:
    images, labels = images_and_labels()
    own = network(100.0)
    sure = own.fed(own.input, Feeding("as its author told me"))
    assert with_feeding_found(sure, images, labels) is sure


def test_many_images_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = images_and_labels()
    order = labels.argsort()  # all of one class, then all of the other: the first few would tell nothing
    monkeypatch.setattr(feeding, "TRIED", 20)
    own = network(0.5)
    found = with_feeding_found(own.fed(own.input, UNKNOWN), images[order], labels[order])
    assert found.feeding.words.endswith("of 20 labelled images")
    assert bool((found(images).argmax(1) == labels).all())
    assert torch.equal(found(images), own.fed(found.input)(images))
