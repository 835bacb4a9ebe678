"""Attribution: Grad-CAM by hand in double precision, against captum, and by identities that must hold for any network."""

import functools

import pytest
import torch
from captum.attr import LayerGradCam
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nets import images, images_for, network
from trojancam.attribution import Attribution, grad_cam
from trojancam.errors import UnknownNameError
from trojancam.models import ARCHITECTURES
from trojancam.network import Network
from trojancam.placement import laid_over, stretched
from trojancam.recording import record
from trojancam.targets import Target, logit, logit_difference, probability

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


class Tiny(nn.Module):
    """Two feature maps of 2x2 cells: the red channel and 1 less twice the green one; two classes; numbers to follow by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 2, 1), nn.Linear(8, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, -2, 0]]).view(2, 3, 1, 1))
            self.conv.bias.copy_(torch.tensor([0.0, 1.0]))
            self.linear.weight.copy_(torch.tensor([[1.0, 2, 3, 6, -1, -1, 0, -2], [4.0, 0, 0, 0, 0, 0, 2, 2]]))
            self.linear.bias.copy_(torch.tensor([0.5, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.conv(x).relu().flatten(1))


IMAGE = torch.tensor([[[[1.0, 0.5], [0.0, 0.25]], [[0.0, 0.25], [0.5, 1.0]], [[0.3, 0.3], [0.3, 0.3]]]])
# A^1 = red = [1, .5; 0, .25];  A^2 = ReLU(1 - 2 green) = [1, .5; 0, 0]
# y^0 = 1 + 2*.5 + 6*.25 - 1 - .5 + .5 = 2.5;  y^1 = 4
# class 0: w_1 = (1+2+3+6)/4 = 3, w_2 = (-1-1+0-2)/4 = -1;  class 1: w_1 = 4/4 = 1, w_2 = (2+2)/4 = 1


@functools.cache
def tiny() -> Network:
    return Network.from_module(Tiny(), (2, 2))


def cam(target: Target) -> Attribution:
    return grad_cam(record(tiny(), IMAGE, target))["conv"]


def test_the_tiny_network_is_as_written_down() -> None:
    assert tiny()(IMAGE).tolist() == [[2.5, 4.0]]


def test_grad_cam_by_hand() -> None:
    zero = cam(logit(0))
    assert zero.weights.tolist() == [[3.0, -1.0]]
    assert zero.contributions.tolist() == [[[[3.0, 1.5], [0.0, 0.75]], [[-1.0, -0.5], [0.0, 0.0]]]]
    assert zero.layer_map().tolist() == [[[2.0, 1.0], [0.0, 0.75]]]
    assert zero.feature_maps().tolist() == [[[[3.0, 1.5], [0.0, 0.75]], [[0.0, 0.0], [0.0, 0.0]]]]
    assert (zero.layer, zero.method, zero.target, zero.image_size) == ("conv", "Grad-CAM", "logit of class 0", (2, 2))


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


# --- against captum ---

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
def test_every_feature_map_and_the_layer_map_equal_captum(name: str, layer: str) -> None:
    module, net = network(name)
    inputs = images_for(net, 3)
    chosen = torch.tensor([0, 1, 2])
    looked_at = module.get_submodule(LAYER_MODULES[name][layer])
    if isinstance(looked_at, nn.ReLU):
        assert not looked_at.inplace
    reference = LayerGradCam(module, looked_at)
    switch_in_place(module, False)  # or captum would see the raw convolution overwritten
    single, whole = (
        reference.attribute(
            net.input.normalise(inputs), chosen, attr_dim_summation=summed, relu_attributions=False
        ).detach()
        for summed in (False, True)
    )
    switch_in_place(module, name in ("normed", "residual"))
    at = "conv" if isinstance(looked_at, nn.Conv2d) else "activation"
    attribution = grad_cam(record(net, inputs, logit(chosen), [layer], at=at))[layer]
    torch.testing.assert_close(attribution.contributions, single, rtol=1e-4, atol=1e-5 * float(single.abs().max()))
    torch.testing.assert_close(
        attribution.layer_map(), whole[:, 0].relu(), rtol=1e-4, atol=1e-5 * float(whole.abs().max())
    )


# --- identities ---


@pytest.mark.parametrize("name", [*ARCHITECTURES, "residual"])
def test_contributions_add_up_to_the_layer_map_before_its_relu(name: str) -> None:
    _, net = network(name)
    recording = record(net, images_for(net, 3), logit(2))
    for layer, attribution in grad_cam(recording).items():
        recorded = recording.layers[layer]
        whole = torch.einsum("nk,nkij->nij", recorded.gradients.double().mean((2, 3)), recorded.activations.double())
        torch.testing.assert_close(attribution.contributions.double().sum(1), whole, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(attribution.layer_map().double(), whole.clamp(min=0), rtol=1e-6, atol=1e-6)


@given(st.floats(-8, 8, allow_subnormal=False))
@settings(deadline=None, max_examples=20)
def test_scaling_the_score_scales_the_contributions(factor: float) -> None:
    _, net = network("normed")
    plain = grad_cam(record(net, images(2), logit(1)))
    scaled = grad_cam(record(net, images(2), Target("scaled", lambda logits: factor * logits[:, 1])))
    for layer, attribution in plain.items():
        torch.testing.assert_close(scaled[layer].contributions, factor * attribution.contributions, **CLOSE)
        torch.testing.assert_close(scaled[layer].weights, factor * attribution.weights, **CLOSE)


@given(st.permutations(range(4)))
@settings(deadline=None, max_examples=15)
def test_permuting_the_images_permutes_the_maps(order: list[int]) -> None:
    _, net = network("residual")
    inputs = images(4)
    straight, permuted = (grad_cam(record(net, batch, logit(1))) for batch in (inputs, inputs[order]))
    for layer, attribution in straight.items():
        torch.testing.assert_close(permuted[layer].contributions, attribution.contributions[order], **CLOSE)
        torch.testing.assert_close(permuted[layer].heatmap(), attribution.heatmap()[order], **CLOSE)


def test_opposite_differences_cancel() -> None:
    _, net = network("normed")
    one, other = (grad_cam(record(net, images(2), logit_difference(*pair))) for pair in ((0, 1), (1, 0)))
    for layer, attribution in one.items():
        torch.testing.assert_close(other[layer].contributions, -attribution.contributions, **CLOSE)


def test_a_single_map_keeps_the_sign_that_its_weight_gives() -> None:
    _, net = network("trojan2")
    for attribution in grad_cam(record(net, images_for(net, 2))).values():
        blank = (attribution.feature_maps() == 0).all(-1).all(-1)
        assert blank[attribution.weights < 0].all(), "after a ReLU, a map of negative weight is blank"
        assert (attribution.feature_maps() >= 0).all()


def test_a_constant_network_gives_blank_maps() -> None:
    module = Tiny()
    nn.init.zeros_(module.linear.weight)
    attribution = grad_cam(record(Network.from_module(module, (2, 2)), IMAGE))["conv"]
    assert attribution.weights.count_nonzero() == 0
    assert attribution.heatmap().count_nonzero() == 0


def test_a_layer_off_the_path_gives_blank_maps() -> None:
    attribution = grad_cam(record(network("dangling")[1], images(2), logit(0)))["unused"]
    assert attribution.contributions.count_nonzero() == 0


# --- heat maps ---


def by_half_pixel_centres(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, as OpenCV: pixel i of n looks at (i + 1/2) m/n - 1/2 among m cells; beyond the outer centres, the edge."""

    def share(pixels: int, count: int) -> Tensor:
        matrix = torch.zeros(pixels, count, dtype=torch.float64)
        for i in range(pixels):
            place = min(max((i + 0.5) * count / pixels - 0.5, 0), count - 1)
            low = min(int(place), max(count - 2, 0))
            matrix[i, low] += 1 - (place - low)
            matrix[i, min(low + 1, count - 1)] += place - low
        return matrix

    return share(size[0], cells.shape[0]) @ cells.double() @ share(size[1], cells.shape[1]).T


def test_upsampling_two_cells_to_four_pixels_by_hand() -> None:
    cells = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])  # weights 1, 3/4, 1/4, 0 of the left cell
    expected = row[None, :] + 2 * row[:, None]
    torch.testing.assert_close(laid_over(cells, stretched((2, 2), (4, 4)), (4, 4))[0, 0], expected)
    torch.testing.assert_close(by_half_pixel_centres(cells[0, 0], (4, 4)).float(), expected)


@pytest.mark.parametrize("size", [(32, 32), (7, 5), (3, 3), (1, 9)])
@pytest.mark.parametrize("cells", [(2, 2), (3, 5), (1, 1)])
def test_upsampling_to_any_size(cells: tuple[int, int], size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *cells, generator=torch.Generator().manual_seed(5))
    result = laid_over(maps, stretched(cells, size), size)
    assert result.shape == (2, 3, *size)
    if size[0] >= cells[0] and size[1] >= cells[1]:
        expected = by_half_pixel_centres(maps[1, 2], size).float()
        torch.testing.assert_close(result[1, 2], expected, **CLOSE)
    assert result.min() >= maps.min() - 1e-6
    assert result.max() <= maps.max() + 1e-6


def test_heatmaps_of_layers_that_keep_the_size_are_stretched_over_the_image() -> None:
    _, net = network("trojan1")
    for attribution in grad_cam(record(net, images_for(net, 2))).values():
        assert attribution.heatmap().shape == (2, 32, 32)
        expected = by_half_pixel_centres(attribution.layer_map()[1], (32, 32)).float()
        torch.testing.assert_close(attribution.heatmap()[1], expected, rtol=1e-4, atol=1e-5)


def test_the_heatmap_of_one_feature_map_is_that_map_upsampled() -> None:
    _, net = network("trojan2")
    attribution = grad_cam(record(net, images_for(net, 2)))["conv2d_6"]
    assert attribution.feature_map_heatmaps(31).equal(
        attribution.at_image_size(attribution.feature_maps()[:, 31:32])[:, 0]
    )


def test_names_that_do_not_exist_are_refused() -> None:
    recording = record(network("plain")[1], images(1), layers=["second"])
    with pytest.raises(UnknownNameError, match="unknown recorded layer 'first'; known: second"):
        grad_cam(recording, ["first"])
    for index in (5, -1):
        with pytest.raises(UnknownNameError, match=f"unknown feature map of layer 'second' '{index}'; known: 0 to 4"):
            grad_cam(recording)["second"].feature_map_heatmaps(index)


def test_only_the_layers_asked_for_are_explained_in_their_order() -> None:
    recording = record(network("residual")[1], images(1))
    assert list(grad_cam(recording, ["3.conv2", "0"])) == ["3.conv2", "0"]
    assert list(grad_cam(recording)) == list(recording.layers)
