"""Gradient methods: by hand, by loops in double precision, and by the identities that tie them together."""

import math

import pytest
import torch
from tests.attribution.tiny import CLOSE, IMAGE, Tiny, tiny
from tests.nets import Head, images_for, network
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES
from trojancam.attribution import Attribution, attribute, from_recording, grad_cam, gradients
from trojancam.errors import UnknownNameError
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import Target, logit, logit_difference, probability

SPLITTING = {
    "grad-cam": gradients.grad_cam,
    "grad-cam++": gradients.grad_cam_plus_plus,
    "hirescam": gradients.hires_cam,
    "layercam": gradients.layer_cam,
    "xgrad-cam": gradients.xgrad_cam,
}


def cam(target: Target, method: str = "grad-cam") -> Attribution:
    return attribute(tiny(), IMAGE, [method], target)[method]["conv"]


def test_the_tiny_network_is_as_written_down() -> None:
    assert tiny()(IMAGE).tolist() == [[2.5, 4.0]]


def test_grad_cam_by_hand() -> None:
    zero = cam(logit(0))
    assert zero.weights.tolist() == [[3.0, -1.0]]
    assert zero.contributions.tolist() == [[[[3.0, 1.5], [0.0, 0.75]], [[-1.0, -0.5], [0.0, 0.0]]]]
    assert zero.layer_map().tolist() == [[[2.0, 1.0], [0.0, 0.75]]]
    assert zero.feature_maps().tolist() == [[[[3.0, 1.5], [0.0, 0.75]], [[0.0, 0.0], [0.0, 0.0]]]]
    assert (zero.layer, zero.method, zero.target, zero.image_size) == ("conv", "Grad-CAM", "logit of class 0", (2, 2))


WEIGHTS_BY_HAND = {  # of class 0
    "grad-cam": [3.0, -1.0],
    "grad-cam++": [1 / 3.75 + 2 / 5.5 + 3 / 7.25 + 6 / 12.5, 0.0],  # g / (2 + 1.75 g) where g > 0
    "hirescam": [3.0, -1.0],
    "layercam": [3.0, 0.0],
    "xgrad-cam": [(1 + 1 + 1.5) / 1.75, (-1 - 0.5) / 1.5],
}
CELLS_BY_HAND = {  # of the methods that weigh cells: g * A and ReLU(g) * A
    "hirescam": [[[1.0, 1.0], [0.0, 1.5]], [[-1.0, -0.5], [0.0, 0.0]]],
    "layercam": [[[1.0, 1.0], [0.0, 1.5]], [[0.0, 0.0], [0.0, 0.0]]],
}
ACTIVATIONS = torch.tensor([[[1, 0.5], [0, 0.25]], [[1, 0.5], [0, 0]]])


@pytest.mark.parametrize("method", SPLITTING)
def test_weights_and_contributions_by_hand(method: str) -> None:
    weights = torch.tensor(WEIGHTS_BY_HAND[method])
    expected = weights[:, None, None] * ACTIVATIONS
    if method in CELLS_BY_HAND:
        expected = torch.tensor(CELLS_BY_HAND[method])
    found = cam(logit(0), method)
    torch.testing.assert_close(found.weights[0], weights, **CLOSE)
    torch.testing.assert_close(found.contributions[0], expected, **CLOSE)


def test_the_predicted_class_is_explained_by_default() -> None:
    assert grad_cam(record(tiny(), IMAGE))["conv"].contributions.equal(cam(logit(1)).contributions)
    assert cam(logit(1)).weights.tolist() == [[1.0, 1.0]]


def test_a_difference_of_logits_by_hand() -> None:
    assert cam(logit_difference(0, 1)).weights.tolist() == [[2.0, -2.0]]
    assert cam(logit_difference(0, 1)).layer_map().tolist() == [[[0.0, 0.0], [0.0, 0.5]]]


def test_a_probability_by_hand() -> None:
    p = torch.tensor([2.5, 4.0], dtype=torch.float64).softmax(0)  # dp_0/dA = p_0 p_1 (dy_0 - dy_1)/dA
    slope = p[0] * p[1]
    expected = torch.stack([2 * slope, -2 * slope])[None]
    torch.testing.assert_close(cam(probability(0)).weights.double(), expected, **CLOSE)


def test_the_same_derivation_in_double_precision_on_random_images() -> None:
    inputs = torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(3))
    exact = Tiny().double()
    activations = exact.conv(inputs.double()).relu().detach()
    slopes = exact.linear.weight.detach().view(2, 2, 2, 2)  # classes, maps, cells: the logits are linear in A
    for target_class in (0, 1):
        weights = slopes[target_class].sum((1, 2)) / 4
        expected = weights[None, :, None, None] * activations
        attribution = grad_cam(record(tiny(), inputs, logit(target_class)))["conv"]
        torch.testing.assert_close(attribution.contributions.double(), expected, **CLOSE)
        torch.testing.assert_close(attribution.layer_map().double(), expected.sum(1).clamp(min=0), **CLOSE)


# --- the published formulae, cell by cell in double precision ---


def by_loops(method: str, activations: Tensor, gradients: Tensor) -> Tensor:
    """Contributions as the papers write them: one image, one feature map, one cell at a time."""
    result = torch.zeros_like(activations, dtype=torch.float64)
    n, maps, height, width = activations.shape
    for i in range(n):
        for k in range(maps):
            a, g = activations[i, k].double(), gradients[i, k].double()
            cells = [(float(a[y, x]), float(g[y, x])) for y in range(height) for x in range(width)]
            for y in range(height):
                for x in range(width):
                    result[i, k, y, x] = cell_weight(method, cells, float(g[y, x])) * float(a[y, x])
    return result


def cell_weight(method: str, cells: list[tuple[float, float]], gradient: float) -> float:
    total = sum(a for a, _ in cells)
    match method:
        case "grad-cam":
            return sum(g for _, g in cells) / len(cells)
        case "grad-cam++":
            return sum(g**2 / (2 * g**2 + total * g**3) * max(g, 0) for _, g in cells if g != 0)
        case "hirescam":
            return gradient
        case "layercam":
            return max(gradient, 0)
        case _:
            return sum(g * a for a, g in cells) / total if total else 0.0


@pytest.mark.parametrize("name", ["plain", "normed", "residual", "concatenating"])
@pytest.mark.parametrize("method", SPLITTING)
def test_contributions_equal_the_published_formula(name: str, method: str) -> None:
    _, net = network(name)
    recording = record(net, images_for(net, 2), logit(1))
    for layer, attribution in from_recording(recording, [method])[method].items():
        recorded = recording.layers[layer]
        if method == "grad-cam++" and float(recorded.activations.min()) < 0:
            continue  # it is defined for what follows a ReLU
        expected = by_loops(method, recorded.activations, recorded.gradients)
        scale = float(expected.abs().max())
        torch.testing.assert_close(attribution.contributions.double(), expected, rtol=1e-4, atol=1e-5 * scale)


# --- guards ---


def test_small_gradients_lose_nothing_in_grad_cam_plus_plus() -> None:
    activations = torch.ones(1, 1, 2, 2)
    for scale in (1e-3, 1e-6, 1e-30):
        _, weights = gradients.grad_cam_plus_plus(activations, torch.full((1, 1, 2, 2), scale))
        assert float(weights) == pytest.approx(4 * scale / (2 + 4 * scale), rel=1e-6)


@pytest.mark.parametrize("gradient", [0.5, 1.0, 2.0, 1e20])
def test_grad_cam_plus_plus_has_no_pole_where_activations_are_negative(gradient: float) -> None:
    activations = torch.tensor([[[[-1.0, -1.0]]]])  # S = -2: 2 + S g is zero at g = 1
    _, weights = gradients.grad_cam_plus_plus(activations, torch.full((1, 1, 1, 2), gradient))
    assert float(weights) == pytest.approx(gradient)  # alpha = 1/2 for both cells


def test_maps_that_are_zero_or_cancel_out_have_no_weight_in_xgrad_cam() -> None:
    activations = torch.tensor([[[[0.0, 0.0]], [[1.0, -1.0]], [[1e8, -1e8 + 8]], [[1.0, 1.0]]]])
    _, weights = gradients.xgrad_cam(activations, torch.tensor([[[[1.0, 3.0]]]]).expand(1, 4, 1, 2))
    assert weights.tolist() == [[0.0, 0.0, 0.0, 2.0]]


@pytest.mark.parametrize("method", SPLITTING)
def test_large_numbers_stay_finite(method: str) -> None:
    activations = torch.full((1, 1, 2, 2), 1e15)
    contributions, _ = SPLITTING[method](activations, torch.full((1, 1, 2, 2), 1e15))
    assert contributions.isfinite().all()


# --- identities ---


@pytest.mark.parametrize("name", [*ARCHITECTURES, "residual"])
@pytest.mark.parametrize("method", SPLITTING)
def test_contributions_add_up_to_the_layer_map_before_its_relu(name: str, method: str) -> None:
    _, net = network(name)
    recording = record(net, images_for(net, 2), logit(2))
    for layer, attribution in from_recording(recording, [method])[method].items():
        recorded = recording.layers[layer]
        a, g = recorded.activations.double(), recorded.gradients.double()
        if method == "hirescam":
            whole = torch.einsum("nkij,nkij->nij", g, a)
        elif method == "layercam":
            whole = torch.einsum("nkij,nkij->nij", g.clamp(min=0), a)
        else:
            whole = torch.einsum("nk,nkij->nij", attribution.weights.double(), a)
        close = {"rtol": 1e-5, "atol": 1e-5 * float(whole.abs().max())}
        torch.testing.assert_close(attribution.contributions.double().sum(1), whole, **close)
        torch.testing.assert_close(attribution.layer_map().double(), whole.clamp(min=0), **close)


def test_where_only_means_reach_the_score_three_methods_agree() -> None:
    """After global pooling and a linear layer every cell of a map has one gradient: w_k / Z."""
    torch.manual_seed(0)
    net = Network.from_module(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), Head(5)), (12, 12))
    found = attribute(net, images_for(net, 4), ["grad-cam", "hirescam", "xgrad-cam", "layercam"], logit(2))
    reference = found["grad-cam"]["0"].contributions
    for method in ("hirescam", "xgrad-cam"):
        torch.testing.assert_close(found[method]["0"].contributions, reference, **CLOSE)
    positive = reference * (found["grad-cam"]["0"].weights > 0)[:, :, None, None]
    torch.testing.assert_close(found["layercam"]["0"].contributions, positive, **CLOSE)


@pytest.mark.parametrize("method", ["hirescam", "xgrad-cam"])
def test_contributions_add_up_to_the_score_where_the_rest_is_linear(method: str) -> None:
    """sum C = y - b for a linear rest (completeness); Grad-CAM does not promise that."""
    found = cam(logit(0), method)
    assert float(found.contributions.sum()) == pytest.approx(2.5 - 0.5)
    assert not math.isclose(float(cam(logit(0)).contributions.sum()), 2.0)


def test_a_single_map_keeps_the_sign_that_its_weight_gives() -> None:
    _, net = network("trojan2")
    for attribution in grad_cam(record(net, images_for(net, 2))).values():
        blank = (attribution.feature_maps() == 0).all(-1).all(-1)
        assert blank[attribution.weights < 0].all(), "after a ReLU, a map of negative weight is blank"
        assert (attribution.feature_maps() >= 0).all()


def test_a_layer_off_the_path_gives_blank_maps() -> None:
    net = network("dangling")[1]
    attribution = grad_cam(record(net, images_for(net, 2), logit(0)))["unused"]
    assert attribution.contributions.count_nonzero() == 0


def test_only_the_layers_asked_for_are_explained_in_their_order() -> None:
    net = network("residual")[1]
    recording = record(net, images_for(net, 1))
    assert list(grad_cam(recording, ["3.conv2", "0"])) == ["3.conv2", "0"]
    assert list(grad_cam(recording)) == list(recording.layers)


def test_a_layer_that_was_not_recorded_is_refused() -> None:
    net = network("plain")[1]
    with pytest.raises(UnknownNameError, match="unknown recorded layer 'first'; known: second"):
        grad_cam(record(net, images_for(net, 1), layers=["second"]), ["first"])
