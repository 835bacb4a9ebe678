"""Variants: many at once give what each gives alone, whatever the memory budget, the order and the layers."""

import pytest
import torch
from tests.nets import images_for, network
from tests.stimulation.test_stimulating import every_kind

from trojancam.errors import DataError
from trojancam.network.replay import replay
from trojancam.stimulation import Stimulation, stimulate, stimulated_logits, variants


@pytest.mark.parametrize("budget", [1, 20_000, 256 * 2**20])
@pytest.mark.parametrize("name", ["plain", "residual"])
def test_the_memory_budget_does_not_change_the_results(name: str, budget: int) -> None:
    _, net = network(name)
    images = images_for(net, 5)
    layers = list(net.layers)
    chosen = [one for layer in (layers[1], layers[0]) for one in every_kind(net, layer)[::2]]
    chosen.insert(
        3, [Stimulation(layers[0], 0, value=2.0), Stimulation(layers[0], 1, "zero")]
    )  # between others' layers
    told: list[tuple[int, int, str]] = []
    found = stimulated_logits(net, images, chosen, memory_budget=budget, progress=lambda *call: told.append(call))
    assert found.shape == (len(chosen), 5, 4)
    for number, stimulation in enumerate(chosen):
        torch.testing.assert_close(
            found[number], stimulate(net, images, stimulation).after.logits, rtol=1e-5, atol=1e-6
        )
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    assert told[-1][:2] == (len(chosen) * 5, len(chosen) * 5)
    assert {note for _, _, note in told} == {layers[0], layers[1]}


def test_no_more_rows_are_run_at_a_time_than_the_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    cut = net.cut("first")
    row = cut.footprint.live + replay(net, "first", images_for(net, 1)).activations.nbytes
    seen: list[int] = []
    after = type(cut).after
    monkeypatch.setattr(type(cut), "after", lambda self, a, c=(): seen.append(len(a)) or after(self, a, c))
    several = [Stimulation("first", k % 4, value=float(k)) for k in range(10)]
    stimulated_logits(net, images_for(net, 3), several, memory_budget=7 * row)
    assert seen == [6] * 5
    seen.clear()
    stimulated_logits(net, images_for(net, 3), several, memory_budget=2 * row)
    assert seen == [2] * 10 + [2] * 5  # two images under one variant, then the third under two


def test_the_part_before_the_layer_is_run_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    cut = net.cut("second")
    seen: list[int] = []
    before = type(cut).before
    monkeypatch.setattr(type(cut), "before", lambda self, images: seen.append(len(images)) or before(self, images))
    stimulated_logits(net, images_for(net, 3), [Stimulation("second", k) for k in range(5)])
    assert seen == [3]


def test_none_at_all_are_no_logits() -> None:
    _, net = network("plain")
    assert stimulated_logits(net, images_for(net, 3), []).shape == (0, 3, 4)


def test_a_budget_of_nothing() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="the memory budget must be a positive number of bytes, not 0"):
        stimulated_logits(net, images_for(net, 1), [Stimulation("first")], memory_budget=0)
    with pytest.raises(DataError, match="are of the layers second and first"):
        stimulated_logits(net, images_for(net, 1), [[Stimulation("second"), Stimulation("first")]])
    assert variants.stimulated_logits is stimulated_logits
