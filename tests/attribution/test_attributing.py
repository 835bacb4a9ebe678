"""One entry point: every registered method, one recording, progress, and input that cannot be explained."""

import copy
from typing import Any

import pytest
import torch
from tests.held import Held
from tests.nets import NETS, build, images_for, methods_for, network, unchecked
from torch import Tensor, nn

from trojancam.attribution import (
    INPUT,
    METHODS,
    FeatureMapAttribution,
    MapAttribution,
    attribute,
    attributing,
    from_recording,
)
from trojancam.errors import DataError, ModelError, TrojanCamError, UnknownNameError
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record, record_all
from trojancam.network.targets import custom, logit, logit_difference, probability


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_every_layer_of_every_network(name: str, method: str) -> None:
    _, net = network(name)
    entry = METHODS[method]
    if not entry.works_with(net):
        with pytest.raises(ModelError, match="attention rollout and LeGrad need blocks"):
            attribute(net, images_for(net, 2), [method])
        return
    found = attribute(net, images_for(net, 2), [method], logit(1))[method]
    assert list(found) == (list(net.layers) if entry.per_layer else [INPUT])
    for layer, each in found.items():
        assert isinstance(each, FeatureMapAttribution if entry.splits else MapAttribution)
        assert (each.layer, each.method, len(each)) == (layer, entry.title, 2)
        by_attention = method in ("attention-rollout", "legrad")
        at_pixels = net.attention.blocks[0].grid.size if by_attention else net.input.size
        cells = net.layer(layer).size if entry.per_layer else at_pixels
        assert each.layer_map().shape == (2, *cells)
        assert each.heatmap().shape == (2, *net.input.size)
        assert each.terms().isfinite().all()
        assert not each.terms().requires_grad
        if entry.splits:
            assert each.contributions.shape == (2, net.layer(layer).feature_maps, *cells)
            torch.testing.assert_close(each.layer_map(), each.contributions.sum(1).relu())


def test_methods_and_layers_come_in_the_callers_order_each_once() -> None:
    _, net = network("residual")
    found = attribute(net, images_for(net, 1), ["layercam", "grad-cam", "layercam"], layers=["3.conv2", "0"])
    assert list(found) == ["layercam", "grad-cam"]
    assert all(list(each) == ["3.conv2", "0"] for each in found.values())


def test_a_single_name_is_as_good_as_a_list() -> None:
    _, net = network("residual")
    assert list(attribute(net, images_for(net, 1), "xgrad-cam", layers="0")["xgrad-cam"]) == ["0"]


def test_grad_cam_of_the_predicted_class_is_the_default() -> None:
    _, net = network("plain")
    images = images_for(net, 2)
    found = attribute(net, images)
    expected = from_recording(record(net, images))["grad-cam"]
    assert list(found) == ["grad-cam"]
    assert all(found["grad-cam"][layer].contributions.equal(expected[layer].contributions) for layer in net.layers)


def test_all_methods_share_one_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    calls: list[Tensor] = []

    def counted(net: Network, images: Tensor, *rest: Any, **named: Any) -> Recording:
        calls.append(images)
        return record_all(net, images, *rest, **named)

    monkeypatch.setattr(attributing, "record_all", counted)
    attribute(net, images_for(net, 1), methods_for(net))
    assert len(calls) == 1


def test_a_recording_made_before_is_enough_for_most_methods() -> None:
    _, net = network("residual")
    images = images_for(net, 2)
    enough = [name for name, method in METHODS.items() if method.from_recording]
    found = from_recording(record(net, images, logit(2)), enough, ["3.conv2"], seed=4)
    expected = attribute(net, images, enough, logit(2), ["3.conv2"], seed=4)
    for method in enough:
        assert found[method]["3.conv2"].terms().equal(expected[method]["3.conv2"].terms())
    with pytest.raises(UnknownNameError, match="unknown method that a recording is enough for 'score-cam'"):
        from_recording(record(net, images), ["score-cam"])


def test_progress_counts_up_to_the_end() -> None:
    _, net = network("plain")
    told: list[tuple[int, int, str]] = []
    attribute(net, images_for(net, 2), methods_for(net), progress=lambda *told_now: told.append(told_now))
    done, totals, notes = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] == totals[0]
    assert "Ablation-CAM, second" in notes


def test_in_portions_every_method_says_what_it_says_of_all_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("residual")
    images, target = images_for(net, 5), logit(torch.tensor([2, 0, 1, 3, 2]))
    whole = attribute(net, images, methods_for(net), target, seed=3)
    portions: list[int] = []
    monkeypatch.setattr(
        attributing,
        "record_all",
        lambda net, some, *_, **named: portions.append(len(some)) or record_all(net, some, *_, **named),
    )
    budget = 2 * (net.footprint.live + net.footprint.kept)
    told: list[tuple[int, int, str]] = []
    parts = attribute(
        net, images, methods_for(net), target, seed=3, memory_budget=budget, progress=lambda *call: told.append(call)
    )
    assert portions == [2, 2, 1]
    assert told[-1][0] == told[-1][1] == max(done for done, _, _ in told)
    for method, layers in whole.items():
        for layer, one in layers.items():
            found = parts[method][layer]
            torch.testing.assert_close(found.terms(), one.terms(), rtol=1e-4, atol=1e-5)
            assert (found.on_path, found.method, found.target) == (one.on_path, one.method, one.target)
            assert (found.saturated is None) == (one.saturated is None)


def test_what_many_images_take_beside_the_result_stays_within_the_budget() -> None:
    _, net = network("basic")
    images, budget = images_for(net, 40), 2**22
    attribute(net, images[:1])
    with Held() as held:
        found = attribute(net, images, ["grad-cam", "layercam"], memory_budget=budget)
    returned = sum(
        one.contributions.nbytes + one.weights.nbytes for layers in found.values() for one in layers.values()
    )
    assert 0.1 * budget <= held.peak - returned <= budget


# --- what cannot be explained ---


def with_weight(value: float) -> Network:
    module = copy.deepcopy(build("plain"))
    with torch.no_grad():
        module.get_submodule("second").weight[0, 0, 0, 0] = value
    return Network.from_module(module, (12, 12))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    net = with_weight(value)
    with pytest.raises(ModelError, match="logits of image 0 are not finite; look for NaN or infinity in its weights"):
        attribute(net, images_for(net, 2), methods_for(net))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite(value: float) -> None:
    _, net = network("plain")
    images = images_for(net, 2)
    images[1, 0, 3, 3] = value
    with pytest.raises(DataError, match="image 1 holds values that are not finite"):
        attribute(net, images)


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"methods": ["gradcam"]}, UnknownNameError, "unknown attribution method 'gradcam' .did you mean 'grad-cam'"),
        ({"layers": ["third"]}, UnknownNameError, "unknown layer 'third'; known: first, second"),
        ({"layers": ["linear"]}, UnknownNameError, "'linear' has no feature maps of its own"),
        ({"target": logit(4)}, UnknownNameError, "the network has classes 0 to 3; a target of 4 is none of them"),
        ({"target": probability(-1)}, UnknownNameError, "the network has classes 0 to 3"),
        ({"target": logit_difference(0, 9)}, UnknownNameError, "the network has classes 0 to 3"),
        ({"target": logit(torch.tensor([0, 1, 2]))}, DataError, "a target for 3 images cannot be taken of 2"),
        ({"target": custom("all", lambda logits: logits)}, DataError, "it must give one float for each image"),
        ({"target": custom("log", lambda logits: (logits[:, 0] * 0).log())}, DataError, "its scores must be finite"),
        ({"memory_budget": 0}, DataError, "the memory budget must be a positive number of bytes, not 0"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options: dict[str, Any], kind: type[TrojanCamError], problem: str) -> None:
    _, net = network("plain")
    with pytest.raises(kind, match=problem), unchecked():
        attribute(net, images_for(net, 2), **options)


def test_no_images() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="there are no images in a shape of .*; give at least one"):
        attribute(net, images_for(net, 0), methods_for(net))


def test_a_network_of_one_number_is_explained_as_one_of_two_classes() -> None:
    torch.manual_seed(0)
    net = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)), (4, 4))
    images = images_for(net, 2)
    for_one, against = (
        attribute(net, images, methods_for(net), target=logit(one))["grad-cam"]["0"].contributions for one in (1, 0)
    )
    assert for_one.count_nonzero() > 0
    torch.testing.assert_close(for_one, -against)
    assert (
        attribute(net, images, methods_for(net), target=probability())["grad-cam"]["0"].contributions.count_nonzero()
        > 0
    )
    with pytest.raises(UnknownNameError, match="the network has classes 0 to 1; a target of 2 is none of them"):
        attribute(net, images, target=logit_difference(0, 2))


def test_a_score_without_a_gradient_serves_methods_that_follow_none() -> None:
    _, net = network("plain")
    images = images_for(net, 2)
    told = attribute(net, images, ["ablation-cam", "occlusion"], lambda logits: logits.detach()[:, 1])
    known = attribute(net, images, ["ablation-cam", "occlusion"], 1)
    assert torch.equal(told["ablation-cam"]["first"].weights, known["ablation-cam"]["first"].weights)
    assert torch.equal(told["occlusion"]["input"].map, known["occlusion"]["input"].map)
    for method in ("grad-cam", "saliency", "attnlrp"):
        with pytest.raises(DataError, match="does not depend on the logits by operations of torch"):
            attribute(net, images, ["ablation-cam", method], lambda logits: logits.detach()[:, 1])
