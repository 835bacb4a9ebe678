"""A network cut in two: editing a layer's activations between the parts equals editing them inside the whole network."""

from typing import Any

import pytest
import torch
from tests.nets import NETS, images_for, network
from torch import Tensor, fx

from trojancam.errors import ModelError, UnknownNameError
from trojancam.network.network import Network

NAMES = [*NETS, "basic", "trojan2"]


class Edited(fx.Interpreter):
    """The whole graph, run node by node, with one node's value replaced: the reference."""

    def __init__(self, net: Network, node: str, value: Tensor) -> None:
        super().__init__(net._whole)
        self.node, self.value = node, value

    def run_node(self, node: fx.Node) -> Any:
        return self.value if node.name == self.node else super().run_node(node)


def whole(net: Network, node: str, value: Tensor, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = Edited(net, node, value).run(net.input.normalise(images))[0]
    return logits


@pytest.mark.parametrize("at", ["activation", "conv"])
@pytest.mark.parametrize("name", NAMES)
def test_editing_between_the_parts_equals_editing_inside_the_whole(name: str, at: Any) -> None:
    _, net = network(name)
    images = images_for(net, 3)
    for layer in net.layers:
        cut = net.cut(layer, at=at)
        activations, *crossing = cut.before(images)
        torch.testing.assert_close(cut.after(activations, crossing)[0], net(images), rtol=0, atol=1e-6)
        edited = activations + torch.randn(activations.shape, generator=torch.Generator().manual_seed(7))
        expected = whole(net, net.layer(layer).node(at), edited, images)
        torch.testing.assert_close(cut.after(edited, crossing)[0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_many_variants_of_one_image_go_through_the_suffix_together(name: str) -> None:
    _, net = network(name)
    for layer in net.layers:
        check_variants(net, layer)


def check_variants(net: Network, layer: str) -> None:
    cut = net.cut(layer)
    activations, *crossing = cut.before(images_for(net, 2))
    rows = torch.tensor([0, 1, 0, 0, 1])
    scale = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5])[:, None, None, None]
    together = cut.after(activations[rows] * scale, [value[rows] for value in crossing])[0]
    for place, row in enumerate(rows.tolist()):
        alone = cut.after((activations[rows] * scale)[place : place + 1], [value[row : row + 1] for value in crossing])[
            0
        ]
        torch.testing.assert_close(together[place : place + 1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_later_layers_are_recorded_on_the_way_and_receive_gradients(name: str) -> None:
    _, net = network(name)
    first, *others = net.layers
    later = [other for other in others if net.layer(other).activation != net.layer(first).activation]
    reachable = [other for other in later if comes_after(net, other, first)]
    assert bool(reachable) != (name == "concatenating")  # whose two branches do not see each other
    cut = net.cut(first, record=reachable)
    images = images_for(net, 2)
    activations, *crossing = cut.before(images)
    logits, values = cut.after(activations.requires_grad_(), crossing)
    _, expected = net.forward_with(net.input.normalise(images), reachable)
    for value, other in zip(values, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-6)
    assert torch.autograd.grad(logits.sum(), activations)[0].isfinite().all()


def comes_after(net: Network, layer: str, cut: str) -> bool:
    try:
        net.cut(cut, record=[layer])
    except ModelError:
        return False
    return True


def test_a_skip_connection_crosses_the_cut_and_a_plain_network_has_none() -> None:
    assert len(network("residual")[1].cut("2.conv1").before(images_for(network("residual")[1], 2))) > 1
    assert len(network("plain")[1].cut("first").before(images_for(network("plain")[1], 2))) == 1


def test_the_prefix_runs_nothing_that_comes_later() -> None:
    _, net = network("trojan2")
    cut = net.cut("conv2d_6")
    targets = [str(node.target) for node in cut.prefix.graph.nodes]
    assert sum("conv2d" in target for target in targets) == 2 + 4  # two convolutions, their weights and biases
    assert not any("linear" in target for target in targets)
    assert not any(node.op == "placeholder" and node.name == "input_1" for node in cut.suffix.graph.nodes)


def test_what_cannot_be_cut_is_refused() -> None:
    _, net = network("trojan2")
    with pytest.raises(UnknownNameError, match="unknown layer 'conv2d_1'"):
        net.cut("conv2d_1")
    with pytest.raises(ModelError, match="does not come after the cut"):
        net.cut("conv2d_7", record=["conv2d_6"])
