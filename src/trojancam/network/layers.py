"""Layers of a graph: which nodes are convolutions, and which node is the result that people mean by "the layer".

A layer is a convolution's result up to and including the activation that follows it, through a normalisation or the
addition of a skip connection in between. It bears the name of the module that the convolution came from. Where a network has
tokens, their feature maps are layers as well (`tokens.py`). Where it has neither, the image stands in: its channels are feature
maps, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx

from trojancam.errors import unknown_name
from trojancam.network.grids import placements
from trojancam.network.operations import ACTIVATIONS, CONVOLUTIONS, ELEMENT_BY_ELEMENT, ON_THE_WAY, SCALING
from trojancam.network.placement import Placement, stretched
from trojancam.network.tokens import FEATURE_MAPS, TokenMaps
from trojancam.showing import Brief

aten = torch.ops.aten

At = Literal["activation", "conv"]
PIXELS = "pixels"
"""The only layer of a network that has no other: the channels of the image, as the network is fed them."""
HOLDER = "trojancam_bounds"
"""The module of a graph that holds what `Network.bounded` bounds activations by; no author calls one so."""
LONGEST = 12  # operations that an activation is written out as
CALLED = "called"  # of a node that gives a weight: its name, where the author knows it by another than the graph


@dataclass(frozen=True)
class Layer(Brief):
    """A convolution in the graph: the nodes of its raw output and of its activation, its maps and their cells.

    Feature maps of tokens have one node, which stands for both. `size` is the height and width of a map in cells, `placement`
    says where they lie in the image.
    """

    name: str
    conv: str
    activation: str
    feature_maps: int
    size: tuple[int, int]
    placement: Placement

    def node(self, at: At) -> str:
        """The node whose value is recorded.

        Raises:
            UnknownNameError: if there is no such place in a layer.
        """
        places = {"activation": self.activation, "conv": self.conv}
        if at not in places:
            raise unknown_name("place in a layer", at, places)
        return places[at]


def find_layers(graph: fx.Graph, image_size: tuple[int, int]) -> dict[str, Layer]:
    """Every two-dimensional convolution and every batch of token maps, in the order in which they run; or else the image.

    A module's second call is `name#2`.
    """
    layers: dict[str, Layer] = {}
    placed, fixed = placements(graph), _fixed(graph)
    for node in graph.nodes:
        if node.target in CONVOLUTIONS and _shape(node) is not None:
            name = _unused(module_name(node), layers)
            _, maps, height, width = (int(extent) if axis else 0 for axis, extent in enumerate(_shape(node) or ()))
            placement = placed.get(node) or stretched((height, width), image_size)
            layers[name] = Layer(name, node.name, _result(node, fixed).name, maps, (height, width), placement)
        elif FEATURE_MAPS in node.meta:
            tokens: TokenMaps = node.meta[FEATURE_MAPS]
            name, maps = _unused(tokens.name, layers), int((_shape(node) or ())[1])
            layers[name] = Layer(name, node.name, node.name, maps, tokens.grid.size, tokens.grid.placement)
    return layers or {PIXELS: _pixels(graph, image_size)}


def _pixels(graph: fx.Graph, image_size: tuple[int, int]) -> Layer:
    """The image as a layer, each pixel a cell."""
    (node,) = graph.find_nodes(op="placeholder")
    channels = int((_shape(node) or ())[1])
    return Layer(PIXELS, node.name, node.name, channels, image_size, stretched(image_size, image_size))


def module_name(node: fx.Node) -> str:
    """The dotted name of the module that a node came from, else of the one that holds its weight, else the node's own."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    path = next(reversed(list(stack.values())), ("", None))[0]
    return path.split("@")[0] or _owner_of_weight(node) or node.name


def _owner_of_weight(node: fx.Node) -> str:
    """The module that holds a convolution's weight: all that is known of one that ran without gradients."""
    weight = node.args[1] if len(node.args) > 1 else None
    while isinstance(weight, fx.Node) and weight.op == "call_function" and weight.all_input_nodes:
        weight = weight.all_input_nodes[0]  # it may be rearranged or normalised before it is used
    if not isinstance(weight, fx.Node) or weight.op != "get_attr":
        return ""
    return str(weight.meta.get(CALLED, weight.target)).rpartition(".")[0]


def _fixed(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that are the same for all images: weights, and what is computed from them alone."""
    fixed: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr" or (node.op == "call_function" and fixed.issuperset(node.all_input_nodes)):
            fixed.add(node)
    return fixed


def _result(node: fx.Node, fixed: set[fx.Node]) -> fx.Node:
    """Follow a convolution to its activation; where none follows, as far as the way leads to nothing else."""
    while True:
        users = list(node.users)
        activations = [user for user in users if user.target in ACTIVATIONS or _bounds(user, fixed)]
        if len(activations) == 1:
            activation = _last_of_row(activations[0])
            return _of_both_signs(node, activation, fixed) or _gated(node, activation)
        if written_out := _written_out(node, fixed):
            return written_out
        onward = [user for user in users if user.target in ON_THE_WAY or _only_scales(user, node, fixed)]
        if len(users) != 1 or not onward:
            return node
        node = onward[0]


def _bounds(user: fx.Node, fixed: set[fx.Node]) -> bool:
    """Whether a user is the larger or smaller of a value and of what is the same for all images.

    What `Network.bounded` adds does not count: a layer shows its feature maps as they are before the bound.
    """
    extreme = user.target in (aten.maximum.default, aten.minimum.default)
    added = any(is_bound(source) for source in user.all_input_nodes)
    return extreme and not added and not fixed.isdisjoint(user.all_input_nodes)


def is_bound(node: object) -> bool:
    """Whether a node is a bound that `Network.bounded` added."""
    return isinstance(node, fx.Node) and node.op == "get_attr" and HOLDER in str(node.target).split(".")


def _only_scales(user: fx.Node, node: fx.Node, fixed: set[fx.Node]) -> bool:
    """Whether a user takes a value once, and otherwise only what is the same for all images."""
    others = [source for source in user.args if isinstance(source, fx.Node) and source is not node]
    return user.target in SCALING and user.args.count(node) == 1 and fixed.issuperset(others)


def _last_of_row(activation: fx.Node) -> fx.Node:
    """The last of activations that follow each other directly: one that is written as several."""
    while len(activation.users) == 1 and (user := next(iter(activation.users))).target in ACTIVATIONS:
        activation = user
    return activation


def _of_both_signs(node: fx.Node, activation: fx.Node, fixed: set[fx.Node]) -> fx.Node | None:
    """The sum or difference of both halves, where the negative one is computed apart (a ReLU with slopes, written out)."""
    for user in activation.users:
        others = [source for source in user.all_input_nodes if source is not activation]
        if user.target not in (aten.add.Tensor, aten.sub.Tensor) or len(others) != 1:
            continue
        half, negated = others[0], False
        while half is not node and half.target in (aten.neg.default, aten.mul.Tensor, aten.relu.default):
            sources = [source for source in half.all_input_nodes if source not in fixed]
            if len(sources) != 1:
                break
            half, negated = sources[0], negated or half.target is aten.neg.default
        if half is node and negated:
            return user
    return None


def _gated(node: fx.Node, activation: fx.Node) -> fx.Node:
    """The product or difference, where an activation is only a part of one (`x * sigmoid(x)`, `x - tanh(x)`)."""
    targets = (aten.mul.Tensor, aten.sub.Tensor)
    whole = [user for user in activation.users if user.target in targets and node in user.all_input_nodes]
    return whole[0] if len(whole) == 1 else activation


def _written_out(node: fx.Node, fixed: set[fx.Node]) -> fx.Node | None:
    """Where a value goes several ways that meet again, element by element: an activation that is written out."""
    if len(node.users) < 2:
        return None
    inside, following = {node}, node.next
    while len(inside) <= LONGEST and following.op != "root":
        sources = set(following.all_input_nodes)
        if sources & inside:
            if following.target not in ELEMENT_BY_ELEMENT or sources - inside - fixed:
                return None
            inside.add(following)
            if all(inside.issuperset(each.users) for each in inside - {following}):
                return _scaled(following)
        following = following.next
    return None


def _scaled(node: fx.Node) -> fx.Node:
    """The value times or by a number, where nothing else is done with it."""
    users = list(node.users)
    plain = len(users) == 1 and users[0].target in (aten.mul.Tensor, aten.div.Tensor) and users[0].args[0] is node
    return users[0] if plain and isinstance(users[0].args[1], int | float) else node


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    """The four extents of a node's value, None where it is no batch of feature maps."""
    shape = getattr(node.meta.get("val"), "shape", None)
    return tuple(shape) if shape is not None and len(shape) == 4 else None


def _unused(name: str, taken: dict[str, Layer]) -> str:
    return next(candidate for candidate in _calls(name) if candidate not in taken)


def _calls(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1
