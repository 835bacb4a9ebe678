"""Diagnoses: each in words where it applies, and nowhere else."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.attribution.tiny import IMAGE, Tiny, tiny
from tests.nets import Head, images_for, methods_for, network
from torch import nn

from trojancam.attribution import METHODS, FeatureMapAttribution, attribute, diagnoses, from_map
from trojancam.errors import UnknownNameError
from trojancam.network.network import Network
from trojancam.network.placement import Placement
from trojancam.network.targets import Target, custom, logit, logit_difference, probability


def said(target: Target | None = None, method: str = "grad-cam") -> tuple[str, ...]:
    return attribute(tiny(), IMAGE, [method], target)[method]["conv"].diagnoses(0)


def made(contributions: Any, weights: Any) -> FeatureMapAttribution:
    """Maps of one cell for one image."""
    return FeatureMapAttribution(
        torch.tensor(contributions).view(1, -1, 1, 1), torch.tensor(weights).view(1, -1), "conv", "Grad-CAM", "logit",
        (4, 4), Placement(),
    )  # fmt: skip


def test_nothing_is_said_of_a_sound_map() -> None:
    for method, entry in METHODS.items():
        if entry.per_layer:
            assert said(logit(1), method) == ()


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.splits and name != "score-cam"])
def test_a_constant_network_has_blank_maps_that_say_so(method: str) -> None:
    module = Tiny()
    nn.init.zeros_(module.linear.weight)
    found = attribute(Network.from_module(module, (2, 2)), IMAGE, [method])[method]["conv"]
    assert found.weights.count_nonzero() == 0
    assert found.heatmap().count_nonzero() == 0
    assert found.diagnoses(0) == ("the map is blank: the score does not react to this layer",)


def test_all_weights_negative() -> None:
    found = said(custom("against", lambda logits: -logits[:, 1]))
    assert found == (diagnoses.ALL_NEGATIVE, "the map is blank: no cell speaks for the class")
    assert made([-1.0, 0.0], [-1.0, 0.0]).diagnoses(0)[0] == diagnoses.ALL_NEGATIVE
    assert made([-1.0, 2.0], [-1.0, 1.0]).diagnoses(0) == ()


def test_no_active_feature_map() -> None:
    assert made([0.0, 0.0], [1.0, 2.0]).diagnoses(0) == ("the map is blank: no feature map is active",)


def test_gradients_that_cancel_out_are_a_reaction_all_the_same() -> None:
    """HiResCAM weighs cell by cell: the mean of the weights says nothing of whether there are any."""
    assert made([-1.0, 0.5], [0.0, 0.0]).diagnoses(0) == ("the map is blank: no cell speaks for the class",)


def test_a_saturated_probability() -> None:
    module = Tiny()
    with torch.no_grad():
        module.linear.weight.mul_(100)
    net = Network.from_module(module, (2, 2))
    for target_class in (0, 1):
        found = attribute(net, IMAGE, ["grad-cam", "ablation-cam"], probability(target_class))
        assert diagnoses.SATURATED in found["grad-cam"]["conv"].diagnoses(0)
        assert diagnoses.SATURATED not in found["ablation-cam"]["conv"].diagnoses(0), "it follows no gradient"
    assert attribute(net, IMAGE, target=logit(1))["grad-cam"]["conv"].diagnoses(0) == ()
    assert diagnoses.SATURATED not in said(probability(1))


def test_a_layer_off_the_path() -> None:
    _, net = network("dangling")
    found = attribute(net, images_for(net, 2), target=logit(0))["grad-cam"]
    assert found["unused"].diagnoses(1)[0] == diagnoses.OFF_PATH
    assert diagnoses.OFF_PATH not in found["used"].diagnoses(1)


def test_a_score_that_depends_on_no_pixel() -> None:
    _, net = network("plain")
    constant = custom("constant", lambda logits: torch.ones(len(logits)))
    found = attribute(net, images_for(net, 1), ["saliency", "grad-cam"], constant)
    assert found["saliency"]["input"].diagnoses(0)[0] == diagnoses.OFF_PATH
    assert found["grad-cam"]["second"].diagnoses(0)[0] == diagnoses.OFF_PATH
    unrelated = torch.ones(1, requires_grad=True)
    elsewhere = custom("elsewhere", lambda logits: unrelated.expand(len(logits)))
    assert attribute(net, images_for(net, 1), ["saliency"], elsewhere)["saliency"]["input"].on_path is False


def test_values_that_are_not_finite() -> None:
    for value in (torch.nan, torch.inf):
        assert made([1.0, value], [1.0, 1.0]).diagnoses(0) == (diagnoses.NOT_FINITE,)


def test_maps_without_feature_maps() -> None:
    blank, negative = (from_map(torch.full((1, 2, 2), value), (4, 4)) for value in (0.0, -1.0))
    assert blank.diagnoses(0) == (f"the map is blank: {diagnoses.ONE_VALUE}",)
    assert negative.diagnoses(0) == (f"the map is blank: {diagnoses.NO_CELL}",)


def test_a_layer_of_one_cell_is_explained_and_eigen_cam_says_that_it_cannot() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 12), nn.ReLU(), Head(4))
    net = Network.from_module(module, (12, 12))
    assert net.layer("0").size == (1, 1)
    found = attribute(net, images_for(net, 2), methods_for(net), logit_difference(0, 1))
    for method in found:
        assert found[method]["0" if METHODS[method].per_layer else "input"].heatmap().shape == (2, 12, 12)
    assert found["eigen-cam"]["0"].diagnoses(0) == (f"the map is blank: {diagnoses.ONE_VALUE}",)


def test_an_image_that_is_not_there_is_refused() -> None:
    found = made([1.0], [1.0])
    for index in (1, -1):
        with pytest.raises(UnknownNameError, match=f"unknown image of the batch '{index}'; known: 0 to 0"):
            found.diagnoses(index)


def test_only_what_is_asked_about_is_said() -> None:
    both = made([1.0], [1.0])
    both = replace(
        both, contributions=torch.tensor([1.0, -1.0]).view(2, 1, 1, 1), weights=torch.tensor([[1.0], [-1.0]]),
        saturated=torch.tensor([True, False]),
    )  # fmt: skip
    assert both.diagnoses(0) == (diagnoses.SATURATED,)
    assert both.diagnoses(1)[0] == diagnoses.ALL_NEGATIVE
