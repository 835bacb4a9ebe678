"""Channels last: a graph that permutes its maps computes the same in the order that PyTorch has, and keeps its weights."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tests.nets import NETS, SIZE, images, network
from torch import Tensor, fx, nn

from trojancam.network.channels_last import in_channels_first
from trojancam.network.classifier import classifier
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network

aten = torch.ops.aten
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Last(nn.Module):
    """A convolution as frameworks with the channels last have it, a bias of its own, and something after it."""

    def __init__(self, then: Callable[[Tensor, "Last"], Tensor]) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(3, 3, 3, 4))
        self.bias, self.scale = nn.Parameter(torch.randn(4)), nn.Parameter(torch.rand(4) + 0.5)
        self.second = nn.Parameter(torch.randn(1, 1, 4, 5))
        self.then = then

    def conv(self, x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x.permute(FIRST), kernel.permute(3, 2, 0, 1)).permute(LAST)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x.permute(LAST), self.kernel) + self.bias.reshape(1, 1, 1, 4))
        x = self.then(x, self)
        return x if x.ndim == 2 else self.conv(x, self.second).mean((1, 2))


THEN: dict[str, Callable[[Tensor, Last], Tensor]] = {
    "nothing": lambda x, net: x,
    "arithmetic": lambda x, net: (x - net.bias) * net.scale.rsqrt() / 2 + 1,
    "gate": lambda x, net: x * torch.sigmoid(x.mean((1, 2), keepdim=True)),
    "gate of another shape": lambda x, net: x * torch.sigmoid(x.mean((1, 2)) @ net.second[0, 0, :, :4]).reshape(-1, 1, 1, 4),
    "joined": lambda x, net: torch.cat([x, -x], -1)[..., 2:6],
    "joined by rows": lambda x, net: torch.cat([x, x.abs()], 1),
    "padded": lambda x, net: F.pad(x, (0, 0, 1, 2, 3, 0)),
    "padded in all": lambda x, net: F.pad(x, (1, -1, 1, 2), value=2.0),
    "cut": lambda x, net: x[:, 1:-2, 2:],
    "pooled": lambda x, net: F.max_pool2d(x.permute(FIRST), 2).permute(LAST),
    "highest": lambda x, net: x.amax((1, 2)),
    "mean over rows": lambda x, net: x.mean(1).flatten(1),
    "mean over channels": lambda x, net: x.mean(-1).flatten(1),
    "channels kept apart": lambda x, net: x.mean(3, keepdim=True) * net.scale,
    "flattened": lambda x, net: x.flatten(1),
    "dense over channels": lambda x, net: x @ net.second[0, 0, :, :4] + net.bias,
    "slopes of the second axis": lambda x, net: F.prelu(x - 0.5, net.scale[:1].expand(10).contiguous()),
    "normalised over channels": lambda x, net: F.layer_norm(x, (4,), net.scale, net.bias),
    "chosen": lambda x, net: torch.where(x > 0.3, x, net.bias.reshape(1, 1, 1, 4)),
    "turned": lambda x, net: x.permute(0, 2, 1, 3) + 1,
}  # fmt: skip


@pytest.mark.parametrize("name", THEN)
def test_the_graph_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    module = Last(THEN[name])
    made, _ = classifier(module, InputSpecification(size=SIZE))
    for count in (1, 2, 5):
        inputs = images(count)
        for given in (inputs, inputs.contiguous(memory_format=torch.channels_last)):
            torch.testing.assert_close(made(given)[0], module(given).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["nothing", "arithmetic", "gate", "joined", "joined by rows", "padded", "cut", "pooled", "chosen"]
)
def test_no_map_is_permuted_between_convolutions(name: str) -> None:
    made, _ = classifier(Last(THEN[name]), InputSpecification(size=SIZE))
    whole_maps = [node for node in made.graph.nodes if node.target is aten.permute.default and _size(node) > 20]
    assert not whole_maps


def _size(node: fx.Node) -> int:
    shape = node.meta["val"].shape
    return int(torch.tensor(list(shape[1:])).prod())


def test_a_layer_has_its_bias_its_name_and_its_maps() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Module()
            self.layer.kernel, self.layer.bias = nn.Parameter(torch.randn(3, 3, 3, 4)), nn.Parameter(torch.randn(4))

        def forward(self, x: Tensor) -> Tensor:
            x = F.conv2d(x, self.layer.kernel.permute(3, 2, 0, 1)).permute(LAST) + self.layer.bias.reshape(1, 1, 1, 4)
            return x.relu().mean((1, 2))

    module = Named()
    net = Network.from_module(module, SIZE)
    assert [(name, layer.feature_maps, layer.size) for name, layer in net.layers.items()] == [("layer", 4, (10, 10))]
    _, (raw,) = net.forward_with(net.input.normalise(images(3)), ["layer"], at="conv")
    expected = F.conv2d(images(3), module.layer.kernel.permute(3, 2, 0, 1), module.layer.bias)
    torch.testing.assert_close(raw, expected.detach(), rtol=0, atol=1e-5)
    assert net.parameter_groups == {"layer": ("layer.kernel", "layer.bias")}
    assert net._whole.get_parameter("layer.kernel").shape == (4, 3, 3, 3)
    assert module.layer.kernel.shape == (3, 3, 3, 4), "the module keeps its own"


def test_weights_that_are_used_in_two_ways_stay_as_they_are() -> None:
    class Shared(Last):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.kernel.sum()

    torch.manual_seed(0)
    module = Shared(THEN["nothing"])
    made, _ = classifier(module, InputSpecification(size=SIZE))
    assert made.get_parameter("kernel").shape == (3, 3, 3, 4)
    torch.testing.assert_close(made(images(2))[0], module(images(2)).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NETS if name not in ("transformer", "pointwise")])
def test_a_graph_that_permutes_nothing_comes_back_itself(name: str) -> None:
    whole = network(name)[1]._whole
    assert in_channels_first(whole) is whole


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyTorch's own making
def test_the_graph_that_is_given_stays_as_it_is() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x.permute(LAST).permute(FIRST)).mean((2, 3))

    program = torch.export.export(Plain(), (torch.rand(2, 3, 4, 4),)).run_decompositions({})
    whole = program.module(check_guards=False)
    before = whole.code
    changed = in_channels_first(whole)
    assert whole.code == before
    assert not changed.graph.find_nodes(op="call_function", target=aten.permute.default)
