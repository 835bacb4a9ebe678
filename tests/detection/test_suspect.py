"""What a detector sees: plain copies of images and labels, a network without its card; and what is refused."""

import pytest
import torch
from tests.nets import images_for, network, unchecked

from trojancam.detection.suspect import suspect
from trojancam.errors import DataError, UnknownNameError


def test_labels_are_the_predictions_where_none_are_given() -> None:
    _, net = network("plain")
    images = images_for(net, 6)
    assert torch.equal(suspect(net, images).labels, net(images).argmax(1))


def test_images_and_labels_are_copies() -> None:
    _, net = network("plain")
    images, labels = images_for(net, 6), torch.tensor([0, 1, 2, 3, 0, 1])
    seen = suspect(net, images, labels)
    before = seen.fingerprint()
    images.zero_()
    labels.zero_()
    assert seen.fingerprint() == before
    assert seen.others(0).tolist() == [False, True, True, True, False, True]


def test_the_fingerprint_knows_network_images_and_labels() -> None:
    images, labels = images_for(network("plain")[1], 6), torch.tensor([0, 1, 2, 3, 0, 1])
    prints = {
        suspect(network(name)[1], images * scale, shifted).fingerprint()
        for name in ("plain", "normed")
        for scale in (1.0, 0.5)
        for shifted in (labels, (labels + 1) % 4)
    }
    assert len(prints) == 8


def test_what_cannot_be_scanned_is_refused() -> None:
    _, net = network("plain")
    images = images_for(net, 6)
    with unchecked():
        with pytest.raises(DataError, match="at least 4 clean images, but got 3"):
            suspect(net, images[:3])
        with pytest.raises(DataError, match="there are 5 labels for 6 images"):
            suspect(net, images, torch.zeros(5, dtype=torch.int64))
        with pytest.raises(UnknownNameError, match="unknown class '4'; known: 0 to 3"):
            suspect(net, images, torch.full((6,), 4))
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            suspect(net, images * 255)
        with pytest.raises(DataError, match="pixels"):
            suspect(net, torch.rand(6, 3, 8, 8))
