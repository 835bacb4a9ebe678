"""Shares of heat-map energy in the trigger: equal to what was measured otherwise, and below what is possible."""

import pytest
import torch

from trojancam.attribution import energy_in_mask, grad_cam
from trojancam.evaluation.trigger_energy import trigger_energy
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam_study import shares
from trojancam_study.shares import Shares, most_possible
from trojancam_study.study import Study


def test_means_of_shares_in_the_grown_trigger_are_its_trigger_energy(study: Study) -> None:
    found = shares.of_study(study, "trojan2", 0)
    images, _ = study.test_images("trojan2")
    expected = trigger_energy(study.network("trojan2", 0), images, study.trigger("trojan2"), 10)
    assert list(found.layers) == list(expected)
    for name, layer in found.layers.items():
        assert layer.chance == pytest.approx(expected[name].chance)
        assert float(layer.layer_map.mean()) == pytest.approx(expected[name].layer_map, abs=1e-6)
        assert layer.feature_maps.mean(0).tolist() == pytest.approx(expected[name].feature_maps, abs=1e-6)
        assert layer.best() == expected[name].best
        assert layer.rank(layer.best()) == 1


def test_shares_in_the_trigger_itself_and_logits_are_those_of_one_recording(study: Study) -> None:
    images, _ = study.test_images("trojan1")
    network, trigger = study.network("trojan1", 1), study.trigger("trojan1")
    found = shares.triggered(network, images, trigger, 14, grown=False)
    recording = record(network, trigger.apply(images), logit(14))
    assert torch.allclose(found.logits, recording.logits[:, 14], atol=1e-5)
    heat = grad_cam(recording)["conv2d_3"].heatmap()
    expected = energy_in_mask(heat, trigger.place).nan_to_num(0)
    assert torch.allclose(found.layers["conv2d_3"].layer_map, expected, atol=1e-5)
    assert found.layers["conv2d_3"].chance == pytest.approx(trigger.coverage)


def test_no_map_holds_more_than_is_possible(study: Study) -> None:
    network, mask = study.network("trojan1", 0), study.trigger("trojan1").place
    most = {name: most_possible(layer, mask) for name, layer in network.layers.items()}
    assert most["conv2d_1"] == pytest.approx(1)  # its cells are pixels
    found = shares.of_study(study, "trojan1", 0, grown=False)
    for name, layer in found.layers.items():
        assert float(layer.feature_maps.max()) <= most[name] + 1e-5


def test_halves_are_every_other_image() -> None:
    whole = Shares(torch.arange(5.0), torch.rand(5, 2), torch.rand(5), 0.1, 0.2)
    first, second = whole.halves()
    assert first.layer_map.tolist() == [0, 2, 4]
    assert second.feature_maps.equal(whole.feature_maps[[1, 3]])
