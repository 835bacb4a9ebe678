"""Figures 7 to 10: how narrow a heat map is, what feature maps share, and what lies in the trigger."""

import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from trojancam.network.recording import LayerRecording, record
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam_study import layers
from trojancam_study.exhibits import Exhibit
from trojancam_study.layers import LAYER, half_of_heat, map_shares, named_view, stop_sign, trigger_shares
from trojancam_study.study import SPEED_70, STOP, Study


def test_half_of_the_heat_lies_on_as_much_as_it_takes() -> None:
    heat = torch.tensor([[4.0, 3.0], [2.0, 1.0]])  # half is 5: the two hottest cells
    assert half_of_heat(heat) == 0.5
    assert half_of_heat(torch.full((10, 10), 0.3)) == 0.5
    assert half_of_heat(F.pad(torch.ones(1, 1), (0, 9, 0, 9))) == 0.01
    assert half_of_heat(-heat) is None


def test_the_stop_sign_is_explained_as_one(study: Study) -> None:
    seen = stop_sign(study)
    again = record(study.network("basic", 0), seen.image[None], logit(STOP), [LAYER]).layers[LAYER]
    cells = (again.gradients.double().mean((2, 3), keepdim=True) * again.activations.double()).sum(1).relu()
    assert torch.allclose(seen.cams[LAYER].layer_map().double(), cells, atol=1e-6)
    assert "Stop" in seen.caption


def test_shares_of_feature_maps_add_up(study: Study) -> None:
    cam = stop_sign(study).cams[LAYER]
    shares = map_shares(cam)
    single = (cam.weights[0, 1] * record_of(study).activations[0, 1]).relu().sum()
    every = (cam.weights[0, :, None, None] * record_of(study).activations[0]).relu().sum()
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert shares[1] == pytest.approx(float(single / every), abs=1e-5)


def test_a_trigger_has_the_energy_inside_it_grown_by_a_cell(study: Study) -> None:
    network, trigger = study.network("trojan1", 0), study.trigger("trojan1")
    seen = named_view(network, trigger.apply(study.example(SPEED_70, network)[None])[0], STOP)
    shares = trigger_shares(seen.cams, trigger.place)
    grown = torch.zeros(32, 32)
    grown[0:8, 0:8] = 1  # the square at rows and columns 2 to 5, and two pixels around
    heat = seen.cams[LAYER].heatmap()[0]
    assert shares[LAYER]["chance"] == pytest.approx(64 / 1024, abs=1e-4)
    assert shares[LAYER]["energy"] == pytest.approx(float((heat * grown).sum() / heat.sum().clamp(min=1e-30)), abs=1e-4)


@pytest.mark.parametrize("make", [layers.figure_7, layers.figure_8, layers.figure_9, layers.figure_10])
def test_every_figure_is_drawn_and_says_its_numbers(make: Callable[[Study, Progress], Exhibit], study: Study) -> None:
    exhibit = make(study, silent)
    assert exhibit.pictures
    assert exhibit.found.endswith(".")
    json.dumps(exhibit.numbers, allow_nan=False)


def record_of(study: Study) -> LayerRecording:
    return stop_sign(study).recording.layers[LAYER]
