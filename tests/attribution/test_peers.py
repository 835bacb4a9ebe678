"""Against captum, torchcam and grad-cam: equal where they are right, and where they are not, by how much and why."""

import functools

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam, LayerGradientXActivation
from tests import peers
from tests.attribution.test_eigen import planted
from tests.nets import Head, images_for, network
from torch import Tensor, nn

from trojancam.attribution import Attribution, attribute, from_recording, grad_cam, gradients
from trojancam.attribution.eigen import eigen_cam
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit

CLASSES = [0, 1, 2]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


# --- captum: every feature map ---

LAYER_MODULES = {  # for each network: our layers, and the module whose output captum is to look at
    "basic": {f"conv2d_{i}": f"relu_{i}" for i in range(1, 6)},
    "trojan1": {f"conv2d_{i}": f"relu_{i}" for i in range(1, 6)},
    "trojan2": {f"conv2d_{i}": f"relu_{i}" for i in range(5, 10)},
    "normed": {"0": "0", "4": "4"},
    "residual": {"0": "0", "2.conv1": "2.conv1", "3.downsample.0": "3.downsample.0", "3.conv2": "3.conv2"},
    "depthwise": {"0": "1", "2": "3", "4": "4"},
}
CAPTUM = [(name, layer) for name, layers in LAYER_MODULES.items() for layer in layers]


def switch_in_place(module: nn.Module, in_place: bool) -> None:
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = in_place


@pytest.mark.parametrize(("name", "layer"), CAPTUM)
def test_every_feature_map_of_grad_cam_and_hirescam_equals_captum(name: str, layer: str) -> None:
    module, net = network(name)
    inputs, chosen = images_for(net, 3), torch.tensor(CLASSES)
    looked_at = module.get_submodule(LAYER_MODULES[name][layer])
    switch_in_place(module, False)  # or captum would see the raw convolution overwritten
    pixels = net.input.normalise(inputs)
    single, whole = (
        LayerGradCam(module, looked_at)
        .attribute(pixels, chosen, attr_dim_summation=summed, relu_attributions=False)
        .detach()
        for summed in (False, True)
    )
    cell_by_cell = LayerGradientXActivation(module, looked_at).attribute(pixels, chosen).detach()
    switch_in_place(module, name in ("normed", "residual"))
    at = "conv" if isinstance(looked_at, nn.Conv2d) else "activation"
    recording = record(net, inputs, logit(chosen), [layer], at=at)
    found = from_recording(recording, ["grad-cam", "hirescam"])
    close(found["grad-cam"][layer].contributions, single)
    close(found["grad-cam"][layer].layer_map(), whole[:, 0].relu())
    close(found["hirescam"][layer].contributions, cell_by_cell)


# --- grad-cam and torchcam: layer maps ---

ACTIVATIONS = {  # for each network: a layer, and the module whose output it is
    "basic": ("conv2d_4", "relu_4"),
    "trojan1": ("conv2d_2", "relu_2"),
    "trojan2": ("conv2d_6", "relu_6"),
    "normed": ("4", "6"),
    "residual": ("3.conv2", "3"),
}
GRAD_CAM = {
    "grad-cam": "GradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "xgrad-cam": "XGradCAM",
}
TORCHCAM = {"grad-cam": "GradCAM", "layercam": "LayerCAM", "xgrad-cam": "XGradCAM"}


@functools.cache
def setting(name: str) -> tuple[nn.Module, Network, Tensor, str, str]:
    module, net = network(name)
    return module, net, images_for(net, 3), *ACTIVATIONS[name]


def ours(name: str, method: str) -> Attribution:
    _, net, inputs, layer, _ = setting(name)
    return attribute(net, inputs, [method], logit(torch.tensor(CLASSES)), [layer])[method][layer]


def normalised(name: str) -> Tensor:
    _, net, inputs, _, _ = setting(name)
    return net.input.normalise(inputs)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("method", GRAD_CAM)
def test_layer_maps_equal_grad_cam(name: str, method: str) -> None:
    module, _, _, _, place = setting(name)
    theirs = peers.grad_cam_map(GRAD_CAM[method], module, place, normalised(name), CLASSES)
    close(ours(name, method).contributions.sum(1), theirs)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("method", TORCHCAM)
def test_layer_maps_equal_torchcam(name: str, method: str) -> None:
    module, _, _, _, place = setting(name)
    theirs = peers.torchcam_map(TORCHCAM[method], module, place, normalised(name), CLASSES)
    close(ours(name, method).layer_map(), theirs)


# --- Grad-CAM++ ---


def grad_cam_plus_plus_of_grad_cam(activations: Tensor, gradient: Tensor) -> Tensor:
    package = peers.grad_cam_package()
    found = package.GradCAMPlusPlus.get_cam_weights(None, None, None, None, activations.numpy(), gradient.numpy())
    return torch.as_tensor(found)


def test_grad_cam_plus_plus_equals_grad_cam_where_gradients_are_large() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.rand(3, 5, 6, 6, generator=generator)
    gradient = 100 * torch.randn(3, 5, 6, 6, generator=generator)
    _, weights = gradients.grad_cam_plus_plus(activations, gradient)
    close(weights, grad_cam_plus_plus_of_grad_cam(activations, gradient))


@pytest.mark.parametrize(("scale", "lost"), [(1e-2, 0.005), (1e-3, 1 / 3), (1e-4, 50 / 51)])
def test_grad_cam_loses_small_gradients_in_grad_cam_plus_plus(scale: float, lost: float) -> None:
    """grad-cam adds 1e-6 to the denominator `2 g^2 + S g^3`, and so loses `1e-6 / (2 g^2 + 1e-6)` of every weight.

    The paper has no such term, and g^2 / 2 g^2 needs none: ours is right. Gradients of a confident network, or of a
    large layer, are that small.
    """
    activations, gradient = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), scale)
    _, right = gradients.grad_cam_plus_plus(activations, gradient)
    assert float(right) == pytest.approx(4 * scale / 2, rel=1e-6)
    theirs = float(grad_cam_plus_plus_of_grad_cam(activations, gradient))
    assert theirs == pytest.approx(float(right) * (1 - lost), rel=1e-3)


@pytest.mark.parametrize("name", ["trojan1", "residual"])
def test_torchcam_leaves_out_the_denominator_of_grad_cam_plus_plus(name: str) -> None:
    """torchcam divides a copy (`alpha[mask].div_(...)`), so alpha stays `g^2` and its weights are `sum ReLU(g)^3`.

    The paper's equation 19 has `alpha = g^2 / (2 g^2 + S g^3)`: ours is right. The difference is not one of scale: it
    changes which feature maps count.
    """
    module, net, inputs, layer, place = setting(name)
    theirs = peers.torchcam_weights("GradCAMpp", module, place, normalised(name), CLASSES)
    gradient = record(net, inputs, logit(torch.tensor(CLASSES)), [layer]).layers[layer].gradients
    close(theirs, gradient.relu().pow(3).sum((2, 3)))
    right = ours(name, "grad-cam++").weights
    assert not torch.allclose(theirs / theirs.sum(1, keepdim=True), right / right.sum(1, keepdim=True), rtol=0.1)


# --- Ablation-CAM ---


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_ablation_cam_equals_grad_cam_up_to_the_sign_of_the_score(name: str) -> None:
    """grad-cam divides the drop by y, not by |y|: where the score is negative, all its weights have the wrong sign.

    Losing a map that speaks for a class lowers its logit, be that positive or negative: ours is right.
    """
    module, net, inputs, layer, place = setting(name)
    scores = net(inputs)
    for chosen in (scores.argmax(1), scores.argmin(1)):
        found = attribute(net, inputs, ["ablation-cam"], logit(chosen), [layer])["ablation-cam"][layer].weights
        theirs = peers.grad_cam_weights("AblationCAM", module, place, normalised(name), chosen.tolist())
        sign = scores.gather(1, chosen[:, None]).sign()
        assert {float(each) for each in sign} in ({1.0}, {-1.0})
        rounding = max(1e-5 * float(theirs.abs().max()), 1e-6)  # 1e-6 of y is what a sum in another order leaves
        torch.testing.assert_close(found, sign * theirs, rtol=1e-5, atol=rounding)


def test_grad_cam_does_not_ablate_maps_that_can_be_negative() -> None:
    """Where any activation is not zero at least, grad-cam puts a map to `min - 1e7` instead of 0, as its comment says.

    The paper sets it to zero: ours is right. Theirs measures what ten million does to the network.
    """
    module, net = network("depthwise")
    inputs = images_for(net, 2)
    chosen = net(inputs).argmax(1)
    found = attribute(net, inputs, ["ablation-cam"], logit(chosen), ["0"])["ablation-cam"]["0"].weights
    theirs = peers.grad_cam_weights("AblationCAM", module, "1", net.input.normalise(inputs), chosen.tolist())
    assert float(found.abs().max()) < 10
    assert float(theirs.abs().max()) > 1e4


# --- Score-CAM ---


def test_score_cam_equals_both_where_the_layer_is_as_large_as_the_image() -> None:
    module, net = network("trojan1")
    inputs = images_for(net, 2)
    assert net.layer("conv2d_1").size == net.input.size
    found = attribute(net, inputs, ["score-cam"], logit(torch.tensor([0, 1])), ["conv2d_1"])["score-cam"]["conv2d_1"]
    pixels = net.input.normalise(inputs)
    close(found.weights, peers.grad_cam_weights("ScoreCAM", module, "relu_1", pixels, [0, 1]))
    close(found.layer_map(), peers.torchcam_map("ScoreCAM", module, "relu_1", pixels, [0, 1]))


def masked_scores(module: nn.Module, pixels: Tensor, masks: Tensor, classes: list[int]) -> Tensor:
    with torch.no_grad():
        scores = [module(pixels[i : i + 1] * masks[i][:, None])[:, classes[i]] for i in range(len(pixels))]
    return torch.stack(scores).softmax(1)


def to_unit_range(maps: Tensor) -> Tensor:
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low + 1e-8)


@pytest.mark.parametrize("name", ["trojan1", "trojan2"])
def test_score_cam_of_smaller_layers_differs_by_how_masks_are_made(name: str) -> None:
    """grad-cam stretches corner to corner (`align_corners=True`); torchcam scales to [0, 1] before it upsamples.

    The paper upsamples first and scales after: torchcam's masks hardly ever reach 1. Corner to corner puts the outer
    cells' centres on the image's edge, where they do not look. Ours puts cells where they look and scales after.
    """
    module, net, inputs, layer, place = setting(name)
    pixels, size = normalised(name), net.input.size
    maps = record(net, inputs, layers=[layer]).layers[layer].activations
    corner_to_corner = to_unit_range(F.interpolate(maps, size, mode="bilinear", align_corners=True))
    close(
        peers.grad_cam_weights("ScoreCAM", module, place, pixels, CLASSES),
        masked_scores(module, pixels, corner_to_corner, CLASSES),
    )
    scaled_first = F.interpolate(to_unit_range(maps), size, mode="bilinear", align_corners=False)
    close(
        peers.torchcam_weights("ScoreCAM", module, place, pixels, CLASSES),
        masked_scores(module, pixels, scaled_first, CLASSES),
    )
    placed = to_unit_range(ours(name, "score-cam").at_image_size(maps))
    close(ours(name, "score-cam").weights, masked_scores(module, pixels, placed, CLASSES))
    active = maps.amax((2, 3)) > 0
    assert float(scaled_first.amax((2, 3))[active].mean()) < 1 - 1e-3
    assert float(placed.amax((2, 3))[active].min()) == pytest.approx(1)


# --- Eigen-CAM ---


def test_eigen_cam_equals_grad_cam_up_to_its_sign() -> None:
    """grad-cam takes whatever sign the decomposition gives, and its ReLU clips the object away where that is negative.

    The sign of a singular vector means nothing, so one has to be chosen: ours is positive where the layer is active.
    """
    package = peers.grad_cam_package()
    clipped = 0
    for seed in range(60):
        maps, mask = planted(seed)
        theirs = torch.as_tensor(package.EigenCAM.get_cam_image(None, None, None, None, maps.numpy(), None, False))
        found = eigen_cam(maps)
        sign = (found * theirs).sum().sign()
        close(found, sign * theirs)
        assert bool((found[0][mask] > 0).all())
        clipped += bool((theirs[0][mask] < 0).all())
    assert 10 < clipped < 60


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_eigen_cam_equals_grad_cam_on_networks(name: str) -> None:
    module, _, _, _, place = setting(name)
    theirs = peers.grad_cam_map("EigenCAM", module, place, normalised(name), CLASSES)
    found = ours(name, "eigen-cam").terms()[:, 0]
    sign = (found * theirs).sum((1, 2), keepdim=True).sign()
    torch.testing.assert_close(found, sign * theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


# --- what hooks see, and what scaling hides ---


def test_hooks_see_what_an_in_place_relu_left_of_a_convolution() -> None:
    """grad-cam and torchcam store a view of the convolution's output, which the ReLU after it overwrites.

    A recorded convolution has negative values: ours is right. Theirs is the activation, with the convolution's gradients.
    """
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), Head(4)).eval()
    net = Network.from_module(module, (12, 12))
    inputs = images_for(net, 3)
    recording = record(net, inputs, logit(torch.tensor(CLASSES)), at="conv")
    right = module[0](inputs).detach()
    close(recording.layers["0"].activations, right)
    assert float(right.min()) < 0
    assert peers.grad_cam_activations(module, "0", inputs).equal(right.relu())
    found = grad_cam(recording)["0"]
    assert not torch.allclose(found.layer_map(), peers.torchcam_map("GradCAM", module, "0", inputs, CLASSES), rtol=0.1)


def test_scaling_each_image_to_0_1_hides_that_a_map_is_nothing() -> None:
    """grad-cam shows the same map, up to its epsilon, for a score that reacts ten thousand times less.

    Neither is wrong, but ours keeps the size of contributions and says so where there are none.
    """
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Head(4)).eval()
    inputs = images_for(Network.from_module(module, (12, 12)), 2)
    loud = peers.grad_cam_heatmap(module, "1", inputs, [2, 2])
    loud_ours = attribute(Network.from_module(module, (12, 12)), inputs, target=logit(2))["grad-cam"]["0"]
    with torch.no_grad():
        module[2].linear.weight.mul_(1e-4)
    quiet = peers.grad_cam_heatmap(module, "1", inputs, [2, 2])
    quiet_ours = attribute(Network.from_module(module, (12, 12)), inputs, target=logit(2))["grad-cam"]["0"]
    torch.testing.assert_close(quiet, loud, rtol=0.1, atol=0.05)
    close(quiet_ours.contributions, 1e-4 * loud_ours.contributions)
