"""What a detector sees: plain copies of images and labels, a network without its card; and what is refused."""

import pytest
import torch
from tests.detection.planted import CLASSES, planted
from tests.nets import images_for, network, unchecked

from trojancam.detection.suspect import halves, spread, suspect
from trojancam.errors import DataError, UnknownNameError


def test_labels_are_the_predictions_where_none_are_given() -> None:
    _, net = network("plain")
    images = images_for(net, 6)
    assert torch.equal(suspect(net, images).labels, net(images).argmax(1))


def test_images_and_labels_are_copies() -> None:
    _, net = network("plain")
    images, labels = images_for(net, 6), torch.tensor([0, 1, 2, 3, 0, 1])
    seen = suspect(net, images, labels)
    order = spread(images, labels)
    assert torch.equal(seen.images, images[order])
    assert torch.equal(seen.labels, labels[order])
    before = seen.fingerprint()
    images.zero_()
    labels.zero_()
    assert seen.fingerprint() == before
    assert torch.equal(seen.others(0), seen.labels != 0)


def test_classes_take_turns_whatever_the_order_of_the_images() -> None:
    _, net = network("plain")
    images, labels = images_for(net, 16), torch.tensor([0] * 8 + [1] * 4 + [2] * 3 + [3])
    seen = suspect(net, images, labels)
    assert [set(part) for part in (seen.labels[:4].tolist(), seen.labels[4:7].tolist(), seen.labels[13:].tolist())] == [
        {0, 1, 2, 3},
        {0, 1, 2},
        {0},
    ]
    for seed in range(3):
        order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
        shuffled = suspect(net, images[order], labels[order])
        assert shuffled.fingerprint() == seen.fingerprint()
        assert torch.equal(shuffled.images, seen.images)


@pytest.mark.parametrize("labels", [[0] * 4 + [2] * 5, [0, 2, 4, 6, 8], list(range(9)) * 2, [1] * 7])
def test_halves_share_no_image_lose_none_and_are_alike(labels: list[int]) -> None:
    images = torch.rand(len(labels), 3, 12, 12)
    whole = suspect(planted(True).network, images, torch.tensor(labels))
    first, second = halves(whole)
    pixels = torch.cat([first.images, second.images])
    assert sorted(pixels.sum((1, 2, 3)).tolist()) == sorted(whole.images.sum((1, 2, 3)).tolist())
    assert 0 <= len(first.images) - len(second.images) <= 1
    counts = torch.stack([half.labels.bincount(minlength=CLASSES) for half in (first, second)])
    assert int((counts[0] - counts[1]).abs().max()) <= 1
    for half in (first, second):
        turn = half.labels[: len(half.labels.unique())]
        assert len(turn.unique()) == len(turn)


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
