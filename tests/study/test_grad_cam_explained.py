"""Figures 4 and 5: the steps from a recording to a heat map, checked one by one."""

import json

import pytest
import torch

from trojancam.progress import silent
from trojancam_study.grad_cam_explained import SINGLE, SUMMED, Terms, figure_4, figure_5
from trojancam_study.layers import LAYER, stop_sign
from trojancam_study.study import Study


def terms(*contributions: list[float]) -> Terms:
    maps = torch.tensor(contributions)[:, None]
    return Terms(maps.abs(), maps.sign(), maps.sign().mean((1, 2)), maps)


def test_the_steps_lead_to_the_heat_map(study: Study) -> None:
    seen = stop_sign(study)
    found = Terms.of(seen)
    weights = found.gradients.double().mean((1, 2))
    assert torch.allclose(found.weights.double(), weights, atol=1e-6)
    contributions = weights[:, None, None] * found.activations.double()
    assert torch.allclose(found.contributions.double(), contributions, atol=1e-5)
    assert torch.allclose(found.total().relu(), seen.cams[LAYER].layer_map()[0], atol=1e-5)


def test_the_maps_drawn_are_those_that_say_most_either_way() -> None:
    found = terms([1.0, 0.0], [-3.0, 0.0], [5.0, 1.0], [0.1, 0.0], [-0.5, 0.0])
    assert found.telling(2) == [2, 1]
    assert found.telling(3) == [2, 0, 1]
    assert sorted(found.telling(9)) == [0, 1, 2, 3, 4]


def test_what_is_cancelled_is_what_the_sum_loses() -> None:
    # single maps show 2 + 4 = 6, of which the second map takes 1 from the first cell
    assert terms([2.0, 4.0], [-1.0, 0.0]).cancelled() == pytest.approx(1 / 6)
    assert terms([2.0, 4.0]).cancelled() == 0
    assert terms([-2.0, -4.0]).cancelled() == 0


def test_both_figures_are_drawn(study: Study) -> None:
    for make, count in ((figure_4, SUMMED), (figure_5, SINGLE)):
        exhibit = make(study, silent)
        assert len(set(exhibit.numbers["drawn"])) == count
        assert len(exhibit.pictures[""][0].axes) > count
        json.dumps(exhibit.numbers, allow_nan=False)
