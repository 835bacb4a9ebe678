"""Doses: each strength gives what the stimulation so much stronger gives."""

from typing import Any

import pytest
import torch
from tests.nets import images_for, network

from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network.targets import logit
from trojancam.stimulation import Stimulation, dose_response, stimulate

STRENGTHS = (0.0, 0.5, 2.0)
WINDOW = Stimulation("first", (0, 2), value=(1.0, 3.0), window=(1, 2, 3, 4), rest="zero", unit="layer")


def test_each_strength_is_a_stimulation_of_its_own() -> None:
    _, net = network("plain")
    images = images_for(net, 4)
    told: list[Any] = []
    doses = dose_response(net, images, WINDOW, STRENGTHS, 2, progress=lambda *call: told.append(call))
    for place, strength in enumerate(STRENGTHS):
        one = Stimulation(
            "first", (0, 2), value=(strength, 3 * strength), window=(1, 2, 3, 4), rest="zero", unit="layer"
        )
        found = stimulate(net, images, one, logit(2))
        torch.testing.assert_close(doses.logits[place], found.after.logits[:, 2])
        assert torch.equal(doses.predicted[place], found.after.logits.argmax(1))
        cells = (found.cams_after["first"].contributions.double().sum(1)).relu()
        inside, total = cells[:, 1:4, 2:6].sum((1, 2)), cells.sum((1, 2))
        torch.testing.assert_close(doses.energy[place], (inside / total).float(), rtol=1e-4, atol=1e-5, equal_nan=True)
        assert doses.success_rates()[place] == found.success_rate(2)
    assert (doses.strengths, doses.target_class) == (STRENGTHS, 2)
    torch.testing.assert_close(doses.before, net(images))
    assert [call[:2] for call in told] == [(1, 3), (2, 3), (3, 3)]


def test_the_class_is_the_most_frequent_one_at_the_last_strength() -> None:
    _, net = network("plain")
    images = images_for(net, 4)
    doses = dose_response(net, images, Stimulation("second", 1, value=1.0), (0.0, 50.0))
    assert doses.target_class == int(doses.predicted[-1].mode().values)
    assert (
        doses.success_rates(torch.full((4,), doses.target_class))[-1] != doses.success_rates()[-1]
    )  # NaN: no other class


def test_given_activations_grow_too() -> None:
    pattern = Stimulation("first", 1, value=torch.rand(1, 10, 10))
    assert torch.equal(pattern.times(3.0).value, 3 * pattern.value)


@pytest.mark.parametrize(
    ("stimulation", "strengths", "target", "kind", "problem"),
    [
        (WINDOW, (), None, DataError, "there are no strengths to stimulate with"),
        (Stimulation("first", 0, "zero"), STRENGTHS, None, DataError, "setting feature maps to zero has no strength"),
        ((), STRENGTHS, 1, DataError, "there is no stimulation; give at least one"),
        ((), STRENGTHS, None, DataError, "there is no stimulation; give at least one"),
        (WINDOW, STRENGTHS, 4, UnknownNameError, "unknown class '4'; known: 0 to 3"),
        (WINDOW, (float("nan"),), 1, DataError, "must be finite"),
    ],
)
def test_what_is_refused(
    stimulation: Any, strengths: Any, target: Any, kind: type[TrojanCamError], problem: str
) -> None:
    _, net = network("plain")
    with pytest.raises(kind, match=problem):
        dose_response(net, images_for(net, 2), stimulation, strengths, target)


def test_more_images_than_fit_answer_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    images = images_for(net, 5)
    whole = dose_response(net, images, WINDOW, STRENGTHS, 2)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 2 * net.cut("first").footprint.largest)
    parts = dose_response(net, images, WINDOW, STRENGTHS, 2)
    torch.testing.assert_close(parts.logits, whole.logits)
    torch.testing.assert_close(parts.energy, whole.energy, equal_nan=True)
    assert torch.equal(parts.predicted, whole.predicted)
