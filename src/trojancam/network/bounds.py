"""Bounds: the most that feature maps of a layer may be, as parameters of a graph that are not the author's.

`min(A, z)` stands behind a layer's activation. All that comes after sees it; the layer shows its feature maps as they are before.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from trojancam.errors import ModelError
from trojancam.network.graph import Whole
from trojancam.network.layers import HOLDER, Layer, is_bound

aten = torch.ops.aten

GivenBounds = Float[Tensor, " k"] | Sequence[float]


def parameters_of(graph: fx.Graph) -> dict[str, str]:
    """The name of the parameter that bounds a node's value, by the name of the node."""
    return {
        node.args[0].name: str(node.args[1].target)
        for node in graph.nodes
        if node.target is aten.minimum.default and is_bound(node.args[1])
    }


def boundable(graph: fx.Graph, layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """The layers that can be bounded: those of convolutions that are not bounded yet."""
    there = {node.name for node in graph.nodes if node.op == "call_function"} - parameters_of(graph).keys()
    return tuple(name for name, layer in layers.items() if layer.activation in there)


def checked(bounds: Mapping[str, GivenBounds], able: Sequence[str], layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    """Bounds by the node that they bound, each a tensor `k 1 1`.

    Raises:
        ModelError: if a layer cannot be bounded, or there is not one number for each of its feature maps.
    """
    found: dict[str, Tensor] = {}
    for name, values in bounds.items():
        layer, own = layers[name], torch.as_tensor(values, dtype=torch.float32).detach()
        if name not in able:
            raise ModelError(f"the layer {name} cannot be bounded; bound layers of convolutions, each once")
        if own.shape != (layer.feature_maps,) or bool(own.isnan().any()):
            raise ModelError(f"the layer {name} has {layer.feature_maps} feature maps; give one bound for each")
        bound = own[:, None, None]
        there = found.get(layer.activation)  # layers that end in one sum have one bound
        found[layer.activation] = bound if there is None else torch.minimum(bound, there)
    return found


def bounded(whole: fx.GraphModule, bounds: Mapping[str, Tensor], device: torch.device) -> fx.GraphModule:
    """The same graph, in which the values of these nodes are at most so large; weights are shared.

    Each bound is a parameter of the module `HOLDER`, named after its node.
    """
    copied, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    returned = copied.graph_copy(whole.graph, twins)
    by_name, holder = {node.name: twin for node, twin in twins.items()}, nn.Module()
    for name, weight in dict(whole.named_children()).get(HOLDER, nn.Module()).named_parameters():
        holder.register_parameter(name, weight)
    smaller: dict[fx.Node, fx.Node] = {}
    for name, values in bounds.items():
        own, value = _unused(name, holder), by_name[name]
        holder.register_parameter(own, nn.Parameter(values.to(device, copy=True), requires_grad=False))
        with copied.inserting_after(value):
            bound = copied.get_attr(f"{HOLDER}.{own}")
        with copied.inserting_after(bound):
            smaller[value] = copied.call_function(aten.minimum.default, (value, bound))
        bound.meta["val"], smaller[value].meta["val"] = values, value.meta["val"]
        value.replace_all_uses_with(smaller[value])
        smaller[value].args = (value, bound)
    copied.output(fx.map_arg(returned, lambda node: smaller.get(node, node)))
    owner = _copy(whole)  # so that the module in use stays as it is
    owner.add_submodule(HOLDER, holder)
    return Whole(owner, copied)


def _copy(whole: fx.GraphModule) -> fx.GraphModule:
    graph = fx.Graph()
    graph.output(graph.graph_copy(whole.graph, {}))
    return Whole(whole, graph)


def _unused(name: str, holder: nn.Module) -> str:
    """The name, with as many underscores behind it as it takes: a network that was saved may have named its nodes anew."""
    while name in dict(holder.named_parameters()):
        name += "_"
    return name
