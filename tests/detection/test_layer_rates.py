"""Rates of a layer: those of the page's feature maps among them, and each map as `stimulate` gives it."""

from dataclasses import replace

import pytest
import torch
from tests.detection.planted import MAGENTA, TARGET, pictures, planted

import trojancam as tc
from trojancam.detection.findings import Finding
from trojancam.detection.layer_rates import layer_rates
from trojancam.detection.suspect import halves, suspect


def test_each_map_is_stimulated_by_itself() -> None:
    network = planted(True).network
    images, labels = pictures()
    deed = tc.Stimulation("0", MAGENTA, value=7.5)
    finding = Finding("by hand", TARGET, 1.0, "0", (MAGENTA,), stimulation=deed)
    rates = layer_rates(network, images, labels, finding)
    held = halves(suspect(network, images, labels))[1]
    others = held.images[held.labels != TARGET]
    for number in range(network.layer("0").feature_maps):
        after = tc.stimulate(network, others, replace(deed, feature_maps=number)).after.logits
        assert float(rates[number]) == pytest.approx(float((after.argmax(1) == TARGET).float().mean()))
    assert float(rates[MAGENTA]) == float(rates.amax()) > 0.5


def test_a_finding_without_a_layer_is_refused() -> None:
    images, labels = pictures()
    with pytest.raises(tc.errors.DataError, match="names no layer"):
        layer_rates(planted(True).network, images, labels, Finding("by hand", TARGET, 1.0))
    with pytest.raises(tc.errors.DataError, match="of the finding's class"):
        layer_rates(
            planted(True).network, images, torch.full_like(labels, TARGET), Finding("by hand", TARGET, 1.0, "0", (0,))
        )
