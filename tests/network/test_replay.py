"""Replay: edited activations go through the part after a layer as through the whole network."""

import pytest
import torch
from tests.nets import images_for, network

from trojancam.network.replay import replay


@pytest.mark.parametrize("name", ["plain", "normed", "residual", "concatenating"])
def test_unedited_copies_give_the_logits_of_the_images(name: str) -> None:
    _, net = network(name)
    images = images_for(net, 3)
    for layer in net.layers:
        replayed = replay(net, layer, images)
        torch.testing.assert_close(replayed.copies(2).logits(), net(images).expand(2, -1, -1), rtol=1e-5, atol=1e-6)
        first = replayed.of(slice(2)).copies(3).first(1)
        torch.testing.assert_close(first.logits()[0], net(images[:2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_rows_of_any_images_meet_what_crosses_the_cut_of_theirs(name: str) -> None:
    _, net = network(name)
    images, order = images_for(net, 3), torch.tensor([2, 0, 2, 1])
    for layer in net.layers:
        replayed = replay(net, layer, images)
        logits, _ = replayed.edited(replayed.activations[order], order)
        torch.testing.assert_close(logits, net(images)[order], rtol=1e-5, atol=1e-6)


def test_later_layers_are_recorded_on_the_way() -> None:
    _, net = network("plain")
    images = images_for(net, 3)
    replayed = replay(net, "first", images, record=("second",))
    logits, (second,) = replayed.edited(replayed.activations)
    torch.testing.assert_close(second, replay(net, "second", images).activations)
    torch.testing.assert_close(logits, net(images))


def test_copies_are_edited_apart_from_the_clean_activations_and_from_each_other() -> None:
    _, net = network("residual")
    replayed = replay(net, "0", images_for(net, 2))
    clean, copies = replayed.activations.clone(), replayed.copies(2)
    copies.first(1).activations.zero_()
    assert torch.equal(replayed.activations, clean)
    assert torch.equal(copies.activations[1], clean)
    assert copies.activations.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_many_images_are_run_up_to_the_layer_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("residual")
    images, cut, seen = images_for(net, 5), net.cut("2.conv1"), []
    whole = replay(net, "2.conv1", images)
    before = type(cut).before
    monkeypatch.setattr(type(cut), "before", lambda self, some: seen.append(len(some)) or before(self, some))
    monkeypatch.setattr("trojancam.network.batches.CACHED", 2 * cut.before_footprint.largest)
    parts = replay(net, "2.conv1", images)
    assert seen == [2, 2, 1]
    torch.testing.assert_close(parts.activations, whole.activations)
    torch.testing.assert_close(parts.crossing, whole.crossing)


def test_as_many_variants_at_once_as_fit() -> None:
    _, net = network("residual")
    replayed = replay(net, "0", images_for(net, 3))
    row = replayed.cut.footprint.live + sum(value[0].nbytes for value in (replayed.activations, *replayed.crossing))
    assert [replayed.variants_at_once(budget) for budget in (1, 5 * row, 6 * row, 600 * row)] == [1, 1, 2, 200]
    assert replayed.variants_at_once(6 * row, gradients=True) == 1
