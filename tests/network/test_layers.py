"""Layers: which node is the convolution, which its result, and by which name people know it."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from tests.nets import NETS, SIZE, Head, images, network, unchecked
from torch import nn

from trojancam.errors import UnknownNameError
from trojancam.network.network import Network

Values = dict[str, torch.Tensor]


def values(module: nn.Module) -> tuple[Values, Values]:
    """What the network records of three images: each layer's raw convolution and its activation."""
    net = Network.from_module(module, SIZE)
    inputs = net.input.normalise(images(3))
    return tuple(
        dict(zip(net.layers, net.forward_with(inputs, net.layers, at)[1], strict=True)) for at in ("conv", "activation")
    )


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("plain", {"first": (4, 10, 10), "second": (5, 3, 3)}),
        ("normed", {"0": (4, 12, 12), "4": (6, 5, 5)}),
        (
            "residual",
            {
                "0": (4, 12, 12), "2.conv1": (4, 12, 12), "2.conv2": (4, 12, 12),
                "3.downsample.0": (6, 6, 6), "3.conv1": (6, 6, 6), "3.conv2": (6, 6, 6),
            },
        ),
        ("depthwise", {"0": (6, 12, 12), "2": (6, 12, 12), "4": (5, 12, 12)}),
        ("twice", {"stem": (4, 10, 10), "shared": (4, 10, 10), "shared#2": (4, 10, 10)}),
        ("concatenating", {"left": (3, 12, 12), "right": (2, 12, 12)}),
        ("pre-activation", {"stem": (4, 12, 12), "conv1": (4, 12, 12), "conv2": (4, 12, 12)}),
        ("dangling", {"used": (4, 10, 10), "unused": (2, 10, 10)}),
        (
            "transformer",
            {"patches": (6, 3, 4), "blocks.0.attn": (6, 3, 4), "blocks.0.mlp": (6, 3, 4), "blocks.0": (6, 3, 4)},
        ),
        (
            "pointwise",
            {"stem": (4, 6, 6), "depthwise": (4, 6, 6), "mlp.fc1": (8, 6, 6), "mlp": (4, 6, 6), "sum": (4, 6, 6)},
        ),
    ],
)  # fmt: skip
def test_names_order_maps_and_cells(name: str, layers: dict[str, tuple[int, int, int]]) -> None:
    found = network(name)[1].layers
    assert [(layer.name, (layer.feature_maps, *layer.size)) for layer in found.values()] == list(layers.items())
    assert list(found) == list(layers)


def test_every_registered_net_has_its_layers_written_down() -> None:
    (mark,) = (mark for mark in test_names_order_maps_and_cells.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_what_a_layer_records_has_the_maps_and_cells_it_promises(name: str) -> None:
    _, net = network(name)
    for at in ("conv", "activation"):
        _, recorded = net.forward_with(net.input.normalise(images(3)), net.layers, at)
        for layer, value in zip(net.layers.values(), recorded, strict=True):
            assert tuple(value.shape) == (3, layer.feature_maps, *layer.size)


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.1, inplace=True), nn.PReLU(), nn.ELU(), nn.CELU(), nn.SELU(),
    nn.GELU(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Sigmoid(), nn.Tanh(), nn.Hardtanh(), nn.ReLU6(), nn.Hardswish(),
    nn.Hardsigmoid(), nn.Threshold(0.1, 0), nn.RReLU(), nn.LogSigmoid(),
]  # fmt: skip


BETWEEN = [
    nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False),
    nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Dropout2d(), nn.Dropout(), nn.Identity(),
]  # fmt: skip


class Branches(nn.Module):
    """Every case side by side: a network for each would be slow."""

    def __init__(self, cases: list[nn.Module]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 4, 3) for _ in cases)
        self.cases = nn.ModuleList(cases)
        self.head = Head(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(sum(case(conv(x)).abs() for case, conv in zip(self.cases, self.convs, strict=True)))


@cache
def branches(which: str) -> tuple[nn.ModuleList, Values, Values]:
    cases = ACTIVATIONS if which == "activations" else [nn.Sequential(part, nn.ReLU()) for part in BETWEEN]
    module = Branches(cases)
    recorded = values(module)
    return module.eval().convs, *recorded


@pytest.mark.parametrize("number", range(len(ACTIVATIONS)), ids=lambda i: str(ACTIVATIONS[i]))
def test_a_layer_ends_with_its_activation(number: int) -> None:
    convs, at_conv, at_activation = branches("activations")
    raw = convs[number](images(3))
    torch.testing.assert_close(at_conv[f"convs.{number}"], raw, rtol=0, atol=1e-6)
    expected = ACTIVATIONS[number](raw.clone())
    torch.testing.assert_close(at_activation[f"convs.{number}"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("number", range(len(BETWEEN)), ids=lambda i: str(BETWEEN[i]))
def test_a_normalisation_or_dropout_before_the_activation_belongs_to_the_layer(number: int) -> None:
    convs, at_conv, at_activation = branches("between")
    raw = convs[number](images(3))
    torch.testing.assert_close(at_conv[f"convs.{number}"], raw, rtol=0, atol=1e-6)
    expected = BETWEEN[number](raw).relu()
    torch.testing.assert_close(at_activation[f"convs.{number}"], expected, rtol=0, atol=1e-5)


def test_a_skip_connection_joins_before_the_activation() -> None:
    module, net = network("residual")
    inputs = images(3)
    _, (conv2, downsample, conv1) = net.forward_with(inputs, ["3.conv2", "3.downsample.0", "3.conv1"])
    block = module[3]
    before = module[:3](inputs)
    torch.testing.assert_close(conv2, block(before), rtol=0, atol=1e-6)
    assert conv2.equal(downsample), "both branches meet in the same activation"
    torch.testing.assert_close(conv1, block.bn1(block.conv1(before)).relu(), rtol=0, atol=1e-6)


def test_a_convolution_that_no_activation_follows_ends_where_its_value_goes_different_ways() -> None:
    module, net = network("pre-activation")
    inputs = images(3)
    _, (stem, conv1) = net.forward_with(inputs, ["stem", "conv1"])
    expected = module.stem(inputs)
    torch.testing.assert_close(stem, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(conv1, expected + module.conv1(module.norm1(expected).relu()), rtol=0, atol=1e-6)


def test_pooling_ends_a_layer() -> None:
    conv = nn.Conv2d(3, 2, 3)
    _, at_activation = values(nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU(), Head(2)))
    torch.testing.assert_close(at_activation["0"], conv(images(3)), rtol=0, atol=1e-6)


class HandWrittenSwish(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 2, 3), Head(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.head(x * torch.sigmoid(x))


def test_an_activation_that_only_gates_is_followed_to_the_product() -> None:
    module = HandWrittenSwish()
    _, at_activation = values(module)
    torch.testing.assert_close(at_activation["conv"], F.silu(module.conv(images(3))), rtol=0, atol=1e-6)


class WrittenOut(nn.Module):
    """A normalisation as plain arithmetic, as some exporters write it, and a ReLU with slopes as both of its halves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 2, 3), Head(2)
        self.mean, self.scale = nn.Parameter(torch.rand(2, 1, 1)), nn.Parameter(torch.rand(2, 1, 1))

    def act(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) * self.scale.add(0.1).rsqrt()
        return torch.relu(x) - 0.2 * torch.relu(-x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)))


def test_a_normalisation_and_a_sloped_relu_that_are_written_out_belong_to_the_layer() -> None:
    module = WrittenOut()
    at_conv, at_activation = values(module)
    raw = module.conv(images(3))
    torch.testing.assert_close(at_conv["conv"], raw, rtol=0, atol=1e-6)
    torch.testing.assert_close(at_activation["conv"], module.act(raw), rtol=0, atol=1e-6)


class Attention(nn.Module):
    """What is multiplied depends on the image: that is no normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 2, 3), Head(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv(x) * x.mean((1, 2, 3), keepdim=True)))


def test_a_product_with_something_else_ends_a_layer() -> None:
    module = Attention()
    _, at_activation = values(module)
    torch.testing.assert_close(at_activation["conv"], module.conv(images(3)), rtol=0, atol=1e-6)


class Standardised(nn.Module):
    """A weight that is computed from the one that is stored."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.kernel = nn.Parameter(torch.randn(2, 3, 3, 3))
        self.head = Head(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            kernel = self.inner.kernel
            return self.head(F.conv2d(x, (kernel - kernel.mean((1, 2, 3), keepdim=True)).clone()).relu())


def test_a_convolution_is_named_after_the_holder_of_what_its_weight_is_made_of() -> None:
    assert list(Network.from_module(Standardised(), SIZE).layers) == ["inner"]


class FunctionalConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(2, 3, 3, 3))
        self.head = Head(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.conv2d(F.conv2d(x, self.kernel), self.kernel[:, :2]).relu())


def test_a_convolution_without_a_module_has_a_name_all_the_same() -> None:
    layers = Network.from_module(FunctionalConvolution(), SIZE).layers
    assert len(layers) == 2
    assert all(name.startswith("conv2d") for name in layers)


class FrozenBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
        self.head = Head(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.backbone(x)
        return self.head(x)


def test_a_convolution_that_runs_without_gradients_keeps_its_name() -> None:
    assert list(Network.from_module(FrozenBackbone(), SIZE).layers) == ["backbone.0"]


def test_one_and_three_dimensional_convolutions_are_no_layers() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.square, self.deep = nn.Conv1d(3, 2, 1), nn.Conv2d(3, 2, 1), nn.Conv3d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (
                self.flat(x.flatten(2)).mean(2) + self.square(x).mean((2, 3)) + self.deep(x[:, :, None]).mean((2, 3, 4))
            )

    assert list(Network.from_module(Mixed(), SIZE).layers) == ["square"]


def test_a_place_in_a_layer_that_does_not_exist_is_refused() -> None:
    layer = network("plain")[1].layer("first")
    assert (layer.node("conv"), layer.node("activation")) == ("conv2d", "relu")
    with unchecked(), pytest.raises(UnknownNameError, match="unknown place in a layer 'raw'; known: activation, conv"):
        layer.node("raw")
