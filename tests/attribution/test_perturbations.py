"""Score-CAM and Ablation-CAM: by hand, against one edit at a time in double precision, in batches of any size."""

import copy
import itertools

import pytest
import torch
from tests.attribution.tiny import CLOSE, IMAGE, tiny, upsampled
from tests.nets import assert_same_state, images_for, network, state_of
from torch import Tensor, nn

from trojancam.attribution import Attribution, attribute
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import Target, custom, logit, logit_difference, probability


def cam(method: str, target: Target) -> Attribution:
    return attribute(tiny(), IMAGE, [method], target)[method]["conv"]


def test_ablation_cam_by_hand() -> None:
    """y = 2.5; without A^1 it is 2.5 - 3.5 = -1, without A^2 it is 2.5 + 1.5 = 4."""
    found = cam("ablation-cam", logit(0))
    torch.testing.assert_close(found.weights, torch.tensor([[3.5 / 2.5, -1.5 / 2.5]]), **CLOSE)
    torch.testing.assert_close(found.contributions[0, 0], 1.4 * torch.tensor([[1, 0.5], [0, 0.25]]), **CLOSE)


def test_ablation_cam_keeps_its_sign_where_the_score_is_negative() -> None:
    """y = 2.5 - 4 = -1.5; without A^1 it is -1, without A^2 it is 0: both speak against the score."""
    found = cam("ablation-cam", logit_difference(0, 1))
    torch.testing.assert_close(found.weights, torch.tensor([[-0.5 / 1.5, -1.5 / 1.5]]), **CLOSE)


def test_ablation_cam_of_a_score_of_zero_is_the_drop_itself() -> None:
    found = cam("ablation-cam", custom("nought", lambda logits: logits[:, 0] - 2.5))
    torch.testing.assert_close(found.weights, torch.tensor([[3.5, -1.5]]), **CLOSE)


def test_score_cam_by_hand() -> None:
    """Both maps already run from 0 to 1 and are as large as the image: masks are the maps themselves.

    X * A^1: red [1, .25; 0, .0625], green [0, .125; 0, .25], so y^0 = 1 + .5 + .375 - 1 - .75 - 1 + .5 = -.375.
    X * A^2: red [1, .25; 0, 0], green [0, .125; 0, 0], so y^0 = 1 + .5 - 1 - .75 - 2 + .5 = -1.75.
    """
    expected = torch.tensor([[-0.375, -1.75]]).softmax(1)
    torch.testing.assert_close(cam("score-cam", logit(0)).weights, expected, **CLOSE)


def test_a_map_that_differs_only_beyond_the_edge_has_a_mask_of_nothing() -> None:
    """A kernel of one pixel and padding of two: cells that look outside the image alone hold another value."""
    module = nn.Sequential(nn.Conv2d(3, 2, 1, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 8 * 8, 3))
    nn.init.zeros_(module[0].weight)
    with torch.no_grad():
        module[0].weight[0, 0], module[0].bias[:] = 1, 0.5
    image = torch.ones(1, 3, 4, 4)
    assert (
        attribute(Network.from_module(module, (4, 4)), image, ["score-cam"])["score-cam"]["0"].weights.isfinite().all()
    )


# --- one edit at a time, in double precision ---

PLACES = {  # of some layers, the module whose result the layer is; "first" is followed by a ReLU that is no module
    ("plain", "first"): "first",
    ("normed", "0"): "2",
    ("residual", "2.conv1"): "2.relu",
    ("residual", "3.conv2"): "3",
    ("depthwise", "0"): "1",
}


def one_by_one(
    module: nn.Module, place: str, net: Network, layer: str, inputs: Tensor, target: Target
) -> tuple[Tensor, Tensor]:
    """The weights of Score-CAM and Ablation-CAM, each from a run of its own."""
    exact = copy.deepcopy(module).double()
    recorded = record(net, inputs, target, [layer]).layers[layer]
    maps, score = recorded.activations.double(), target(exact(inputs.double()))
    masked, ablated = torch.zeros(maps.shape[:2]).double(), torch.zeros(maps.shape[:2]).double()
    for i in range(len(maps)):
        for k in range(maps.shape[1]):
            mask = upsampled(maps[i, k], recorded.placement, net.input.size)
            mask = (mask - mask.min()) / (mask.max() - mask.min()) if maps[i, k].max() > maps[i, k].min() else 0 * mask
            masked[i, k] = target(exact(inputs[i : i + 1].double() * mask))[0].detach()
            ablated[i, k] = target(without(exact, place, inputs[i : i + 1], k))[0]
    score = score.detach()[:, None]
    return masked.softmax(1), (score - ablated) / score.abs()


def without(exact: nn.Module, place: str, image: Tensor, index: int) -> Tensor:
    """The logits with one feature map set to zero by a hook on the module that gives it."""
    calls = 0

    def ablate(_: nn.Module, __: object, output: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 1:  # the block's ReLU runs twice; the first follows conv1
            return output
        edited = output.clone()
        edited[:, index] = -1 if place == "first" else 0  # what a ReLU then makes 0
        return edited

    handle = exact.get_submodule(place).register_forward_hook(ablate)
    with torch.no_grad():
        logits = exact(image.double())
    handle.remove()
    return logits


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_weights_equal_one_edit_at_a_time(name: str, layer: str) -> None:
    module, net = network(name)
    inputs = images_for(net, 2)
    target = logit(torch.tensor([2, 0]))
    found = attribute(net, inputs, ["score-cam", "ablation-cam"], target, [layer])
    for index in range(2):
        mine = logit(int([2, 0][index]))
        score, ablation = one_by_one(module, PLACES[name, layer], net, layer, inputs[index : index + 1], mine)
        torch.testing.assert_close(found["score-cam"][layer].weights[index].double(), score[0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            found["ablation-cam"][layer].weights[index].double(), ablation[0],
            rtol=1e-4, atol=1e-5 * float(ablation.abs().max()),
        )  # fmt: skip


def test_the_class_predicted_for_the_image_is_kept_to_while_it_is_edited() -> None:
    _, net = network("plain")
    inputs = images_for(net, 3)
    predicted = net(inputs).argmax(1)
    for method in ("score-cam", "ablation-cam"):
        for free, fixed in (
            (logit(), logit(predicted)),
            (probability(), probability(predicted)),
            (logit_difference(None, 1), logit_difference(predicted, 1)),
        ):
            one, other = (attribute(net, inputs, [method], target)[method] for target in (free, fixed))
            assert all(one[layer].contributions.equal(other[layer].contributions) for layer in net.layers)


# --- batches ---


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
def test_any_memory_budget_gives_the_same_and_bounds_the_batches(method: str) -> None:
    _, net = network("residual")
    inputs = images_for(net, 3)

    def run(budget: int) -> tuple[dict[str, Attribution], list[int]]:
        steps = [0]
        found = attribute(
            net, inputs, [method], logit(1), memory_budget=budget, progress=lambda done, *_: steps.append(done)
        )
        return found[method], [after - before for before, after in itertools.pairwise(steps)]

    small, small_steps = run(1)
    large, large_steps = run(2**30)
    for layer in net.layers:
        torch.testing.assert_close(small[layer].weights, large[layer].weights, rtol=1e-4, atol=1e-6)
    assert sum(small_steps) == sum(large_steps) == 3 * sum(layer.feature_maps for layer in net.layers.values())
    assert len(small_steps) > len(large_steps) > 0
    assert max(small_steps) <= 1 + max(skipped(net, inputs))


def skipped(net: Network, inputs: Tensor) -> list[int]:
    """How many feature maps of each layer are zero for an image, over all images."""
    layers = record(net, inputs).layers.values()
    return [int((layer.activations == 0).flatten(2).all(2).sum()) for layer in layers]


def test_a_map_that_is_zero_everywhere_has_no_weight_in_ablation_cam_and_is_not_run() -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(3, 3, 3)
    with torch.no_grad():
        first.bias[1] = -100  # never active
    module = nn.Sequential(first, nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    net = Network.from_module(module, (8, 8))
    steps: list[int] = []
    found = attribute(
        net, images_for(net, 2), ["ablation-cam"], logit(0), ["0"],
        memory_budget=1, progress=lambda done, *_: steps.append(done),
    )["ablation-cam"]["0"]  # fmt: skip
    assert found.weights[:, 1].tolist() == [0.0, 0.0]
    assert found.weights[:, [0, 2]].abs().min() > 0
    assert steps[0] == 1, "one of the first image's three maps is known beforehand"


def test_a_constant_map_masks_everything_in_score_cam() -> None:
    """Rounding of the upsampled constant must not be stretched to a mask of noise."""
    torch.manual_seed(0)
    first = nn.Conv2d(3, 2, 3, stride=2)
    with torch.no_grad():
        first.weight[0], first.bias[0], first.bias[1] = 0, 0.3, 1
    net = Network.from_module(nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(2 * 25, 3)), (12, 12))
    inputs = images_for(net, 1)
    weights = attribute(net, inputs, ["score-cam"], logit(0))["score-cam"]["0"].weights[0]
    nothing = net(torch.zeros_like(inputs))[0, 0]
    recorded = record(net, inputs).layers["0"]
    mask = upsampled(recorded.activations[0, 1], recorded.placement, (12, 12))
    mask = ((mask - mask.min()) / (mask.max() - mask.min())).float()
    expected = torch.stack([nothing, net(inputs * mask)[0, 0]]).softmax(0)
    torch.testing.assert_close(weights, expected, **CLOSE)


def test_nothing_is_changed_and_gradients_may_be_switched_off_outside() -> None:
    module, net = network("residual")
    inputs = images_for(net, 2)
    before, pixels = state_of(module), inputs.clone()
    with torch.inference_mode():
        attribute(net, inputs, ["score-cam", "ablation-cam", "saliency"])
    assert_same_state(before, state_of(module))
    assert inputs.equal(pixels)
