"""Properties that hold for any network: scaling the score, permuting images, permuting feature maps."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attribution.tiny import CLOSE
from tests.nets import SIZE, build, images, images_for, methods_for, network

from trojancam.attribution import METHODS, attribute, grad_cam
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import Target, custom, logit, logit_difference

LINEAR = ["grad-cam", "hirescam", "layercam", "xgrad-cam", "gradient-x-activation", "saliency"]
BY_GRADIENT = ["grad-cam", "hirescam", "xgrad-cam"]  # which a negative factor turns around
INDEPENDENT = ["eigen-cam", "random", "centre"]


def scaled(factor: float) -> Target:
    return custom(f"{factor} times a logit", lambda logits: factor * logits[:, 2])


@given(st.floats(0.125, 8))
@settings(deadline=None, max_examples=10)
def test_scaling_the_score_scales_the_contributions(factor: float) -> None:
    net = network("plain")[1]
    one, other = (
        attribute(net, images(2), [*LINEAR, "ablation-cam", *INDEPENDENT], target)
        for target in (logit(2), scaled(factor))
    )
    for method, layers in one.items():
        expected = factor if method in LINEAR else 1  # Ablation-CAM divides by the score
        for layer, attribution in layers.items():
            torch.testing.assert_close(
                other[method][layer].terms(), expected * attribution.terms(), rtol=1e-4, atol=1e-5
            )


@given(st.floats(-8, 8, allow_subnormal=False))
@settings(deadline=None, max_examples=10)
def test_a_negative_factor_turns_contributions_around(factor: float) -> None:
    net = network("plain")[1]
    one, other = (attribute(net, images(2), BY_GRADIENT, target) for target in (logit(2), scaled(factor)))
    for method, layers in one.items():
        for layer, attribution in layers.items():
            torch.testing.assert_close(other[method][layer].contributions, factor * attribution.contributions, **CLOSE)


@given(st.permutations(range(4)))
@settings(deadline=None, max_examples=5)
def test_permuting_images_permutes_the_maps(order: list[int]) -> None:
    net = network("residual")[1]
    inputs = images(4)
    one, other = (
        attribute(net, given, [name for name in methods_for(net) if name != "random"])
        for given in (inputs, inputs[order])
    )
    for method, layers in one.items():
        for layer, attribution in layers.items():
            scale = float(attribution.terms().abs().max())
            torch.testing.assert_close(
                other[method][layer].terms(), attribution.terms()[order], rtol=1e-4, atol=1e-5 * scale
            )


@given(st.permutations(range(4)))
@settings(deadline=None, max_examples=3)
def test_permuting_feature_maps_permutes_contributions_and_nothing_else(order: list[int]) -> None:
    module = build("plain").eval()
    permuted = copy.deepcopy(module)
    with torch.no_grad():
        first, second = permuted.get_submodule("first"), permuted.get_submodule("second")
        first.weight.copy_(first.weight[order])
        first.bias.copy_(first.bias[order])
        second.weight.copy_(second.weight[:, order])
    one, other = (
        attribute(net, images(2), methods_for(net), logit(1))
        for net in (Network.from_module(each, SIZE) for each in (module, permuted))
    )
    for method, layers in one.items():
        for layer, attribution in layers.items():
            expected = attribution.terms()
            if METHODS[method].splits and layer == "first":
                expected = expected[:, order]
            torch.testing.assert_close(other[method][layer].terms(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["trojan1", "residual"])
def test_exchanging_the_classes_of_a_difference_turns_contributions_around(name: str) -> None:
    _, net = network(name)
    inputs = images_for(net, 2)
    one, other = (grad_cam(record(net, inputs, logit_difference(*pair))) for pair in ((0, 1), (1, 0)))
    for layer, attribution in one.items():
        torch.testing.assert_close(other[layer].contributions, -attribution.contributions, **CLOSE)


def test_scores_that_differ_by_a_constant_have_the_same_gradients_and_the_same_softmax() -> None:
    net = network("plain")[1]
    shifted = custom("a logit and 5", lambda logits: logits[:, 2] + 5)
    one, other = (attribute(net, images(2), ["grad-cam", "score-cam"], target) for target in (logit(2), shifted))
    for method, layers in one.items():
        for layer, attribution in layers.items():
            torch.testing.assert_close(other[method][layer].contributions, attribution.contributions, **CLOSE)
