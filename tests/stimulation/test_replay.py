"""Margins against a float64 derivation; edited activations go through the suffix as through the whole network."""

import pytest
import torch
from tests.nets import images_for, network

from trojancam.stimulation import replay as replaying
from trojancam.stimulation.replay import margin, margins, replay


def reference(logits: torch.Tensor) -> torch.Tensor:
    """`y_t - log(sum of exp of the others)`, one class at a time, in double precision."""
    exact = logits.double()
    columns = []
    for number in range(logits.shape[-1]):
        others = torch.cat([exact[..., :number], exact[..., number + 1 :]], -1)
        columns.append(exact[..., number] - others.logsumexp(-1))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1000.0])
def test_margins_are_the_lead_over_all_others_also_where_one_class_has_nearly_all(scale: float) -> None:
    logits = scale * torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(margins(logits), reference(logits).float(), rtol=1e-5, atol=1e-5)
    classes = torch.tensor([0, 6, 3, 3, 1, 2])
    expected = reference(logits)[torch.arange(6), :, classes].float()
    torch.testing.assert_close(margin(logits, classes), expected, rtol=1e-5, atol=1e-5)


def test_tied_classes_lead_nobody() -> None:
    assert margins(torch.tensor([[5.0, 5.0]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["plain", "normed", "residual", "concatenating"])
def test_unedited_variants_give_the_logits_of_the_images(name: str) -> None:
    _, net = network(name)
    images = images_for(net, 3)
    for layer in net.layers:
        replayed = replay(net, layer, images)
        logits = replayed.logits(replayed.activations.expand(2, -1, -1, -1, -1))
        torch.testing.assert_close(logits, net(images).expand(2, -1, -1), rtol=1e-5, atol=1e-6)
        first = replayed.first(2)
        torch.testing.assert_close(first.logits(first.activations[None])[0], net(images[:2]), rtol=1e-5, atol=1e-6)


def test_chunks_cover_all_variants_once_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = replay(network("plain")[1], "first", images_for(network("plain")[1], 3))
    assert [variant for chunk in replayed.chunks(100) for variant in range(chunk.start, chunk.stop)] == list(range(100))
    assert max(chunk.stop - chunk.start for chunk in replayed.chunks(1000)) == replaying.ROWS // 3
    monkeypatch.setattr(replaying, "MEMORY_BUDGET", 1)
    assert [chunk.stop - chunk.start for chunk in replayed.chunks(3)] == [1, 1, 1]
