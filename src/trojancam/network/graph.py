"""Graphs: how one gets more outputs, other weights or another device, or is cut. Only this, `classifier.py`,
`channels_last.py` and `independence.py` edit graphs.

Nothing here changes a graph that is in use: every function returns a new one on the same weights.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import PythonCode

from trojancam.network.devices import device_of
from trojancam.network.operations import BATCH_NORMALISATIONS

aten = torch.ops.aten


class Whole(fx.GraphModule):
    """A graph's module that lets an error pass as it is: PyTorch's own prints its traceback on standard error, too."""

    def recompile(self) -> PythonCode:
        """Write and compile the graph's code anew."""
        code = super().recompile()
        type(self).__call__ = nn.Module.__call__  # type: ignore[method-assign]  # every such module has a class of its own
        return code


def returning(whole: fx.GraphModule, nodes: Sequence[str]) -> fx.GraphModule:
    """The same graph, returning a tuple of the values of these nodes; what they do not need is left out."""
    copied, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    copied.graph_copy(whole.graph, twins)
    by_name = {node.name: twin for node, twin in twins.items()}
    copied.output(tuple(by_name[name] for name in nodes))
    copied.eliminate_dead_code()
    return Whole(whole, copied)


def shifted(whole: fx.GraphModule, cut: str, nodes: Sequence[str]) -> fx.GraphModule:
    """As `returning`, with a second input that is added to the cut's value: all that comes after sees the sum."""
    copied, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    copied.graph_copy(whole.graph, twins)
    by_name = {node.name: twin for node, twin in twins.items()}
    images, value = copied.find_nodes(op="placeholder")[-1], by_name[cut]
    with copied.inserting_after(images):
        shift = copied.placeholder("shift")
    with copied.inserting_after(value):
        by_name[cut] = copied.call_function(aten.add.Tensor, (value, shift))
    value.replace_all_uses_with(by_name[cut], delete_user_cb=lambda user: user is not by_name[cut])
    copied.output(tuple(by_name[name] for name in nodes))
    copied.eliminate_dead_code()
    return Whole(whole, copied)


def computed(graph: fx.Graph, target: Any, args: tuple[Any, ...], name: str | None = None) -> fx.Node:
    """A new node of an operation, which knows its value without content, as an exported one does."""
    node = graph.create_node("call_function", target, args, name=name)
    node.meta["val"] = target(*fx.map_arg(args, lambda source: source.meta["val"]))
    return node


def logits_node(whole: fx.GraphModule) -> fx.Node:
    """The node whose value the graph returns first."""
    node: fx.Node = returned_by(whole.graph)[0]
    return node


def parameters(whole: fx.GraphModule) -> dict[str, tuple[str, ...]]:
    """The names of the parameters by the module that holds them, modules in the order in which they first run."""
    position = {node: place for place, node in enumerate(whole.graph.nodes)}
    known = {name for name, _ in whole.named_parameters(remove_duplicate=False)}  # tied weights have two names
    held = [node for node in whole.graph.nodes if node.op == "get_attr" and node.target in known and node.users]
    groups: dict[str, list[str]] = {}
    for node in sorted(held, key=lambda node: min(position[user] for user in node.users)):
        groups.setdefault(node.target.rpartition(".")[0] or node.target, []).append(node.target)
    return {module: tuple(dict.fromkeys(names)) for module, names in groups.items()}


def normalisations(whole: fx.GraphModule) -> tuple[tuple[str, str], ...]:
    """The names of scale and shift of each batch normalisation that has both as parameters, in the order in which they run."""
    return tuple((str(scale.target), str(shift.target)) for scale, shift, *_ in _normalising(whole))


def running_variances(whole: fx.GraphModule) -> dict[str, Tensor]:
    """The running variance of each of these normalisations, by the name of its scale."""
    held = [(scale, variance) for scale, _, _, variance in _normalising(whole) if isinstance(variance, fx.Node)]
    return {str(scale.target): whole.get_buffer(str(variance.target)) for scale, variance in held}


def _normalising(whole: fx.GraphModule) -> list[tuple[fx.Node, fx.Node, Any, Any]]:
    """Scale, shift, running mean and running variance of each batch normalisation that is scaled and shifted by parameters."""
    called = [node for node in whole.graph.nodes if node.op == "call_function" and node.target in BATCH_NORMALISATIONS]
    found = [tuple(node.args[1:5]) for node in called]
    return [each for each in found if all(isinstance(one, fx.Node) and one.op == "get_attr" for one in each[:2])]


def with_parameters(whole: fx.GraphModule, values: Mapping[str, torch.Tensor]) -> fx.GraphModule:
    """The same graph with these parameters instead; it shares all others with the first one."""
    changed = returning(whole, [logits_node(whole).name])
    weights = {id(value): as_weight(value) for value in values.values()}  # one that has two names stays one
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        setattr(changed.get_submodule(owner), attribute, weights[id(value)])
    return changed


def moved(whole: fx.GraphModule, device: torch.device) -> fx.GraphModule:
    """The same graph on another device: its weights, its constants, and what it makes on the way."""
    elsewhere: dict[int, Any] = {id(weight): as_weight(weight.to(device)) for weight in whole.parameters()}
    elsewhere |= {id(buffer): buffer.to(device) for buffer in whole.buffers()}
    result: fx.GraphModule = copy.deepcopy(whole, elsewhere)  # takes these for copies made already
    for part in result.modules():
        if isinstance(part, fx.GraphModule):
            for node in part.graph.nodes:
                node.args, node.kwargs = _on_device(node.args, device), _on_device(node.kwargs, device)
            part.recompile()
    return result


def device(whole: fx.GraphModule) -> torch.device:
    """The device on which a graph's weights lie."""
    return device_of((*whole.parameters(), *whole.buffers()))


def as_weight(values: Tensor) -> nn.Parameter:
    """A frozen parameter of these values."""
    return nn.Parameter(values, requires_grad=False)


def _on_device(arguments: Any, device: torch.device) -> Any:
    return fx.node.map_aggregate(arguments, lambda each: device if isinstance(each, torch.device) else each)


def crossing(whole: fx.GraphModule, cut: str) -> list[str]:
    """The nodes before (or beside) a cut whose values the part after it needs: skip connections, in the order they run."""
    after, images = _after(whole.graph, cut), _from_images(whole.graph)
    found: set[fx.Node] = set()
    for node in after:
        for source in node.all_input_nodes:
            found |= _needed(source, cut, after, images)
    return [node.name for node in whole.graph.nodes if node in found]


def dependent_on(whole: fx.GraphModule, cut: str) -> set[str]:
    """The nodes whose values depend on that of the cut."""
    return {node.name for node in _after(whole.graph, cut)}


def suffix(whole: fx.GraphModule, cut: str, nodes: Sequence[str]) -> fx.GraphModule:
    """The part after a cut: it takes the cut's value and the values of `crossing`, and returns those of `nodes`.

    The number of images is that of the values it is given: it may differ from what the part before the cut was run with.
    """
    after, images = _after(whole.graph, cut), _from_images(whole.graph)
    graph, by_name = fx.Graph(), {node.name: node for node in whole.graph.nodes}
    twins: dict[fx.Node, fx.Node] = {}
    for name in (cut, *crossing(whole, cut)):
        twins[by_name[name]] = graph.placeholder(name)
        twins[by_name[name]].meta = dict(by_name[name].meta)

    def twin(node: fx.Node) -> fx.Node:
        if node not in twins:
            if node not in after and _is_batch_size(node, images):
                twins[node] = graph.call_function(aten.sym_size.int, (twins[by_name[cut]], 0))
            else:
                twins[node] = graph.node_copy(node, twin)
        return twins[node]

    graph.output(tuple(twin(by_name[name]) for name in nodes))
    return Whole(whole, graph)


def returned_by(graph: fx.Graph) -> list[Any]:
    """All that a graph returns, one after the other."""
    returned = next(iter(reversed(graph.nodes))).args[0]
    return list(returned) if isinstance(returned, tuple | list) else [returned]


def rank(result: Any) -> int:
    """How many axes a result has; none, if it is no tensor."""
    return len(getattr(result.meta.get("val"), "shape", ())) if isinstance(result, fx.Node) else 0


def _after(graph: fx.Graph, cut: str) -> dict[fx.Node, None]:
    """Every node that depends on the cut, in order; the cut itself and the output do not count."""
    after: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if node.op != "output" and any(source in after or source.name == cut for source in node.all_input_nodes):
            after[node] = None
    return after


def _from_images(graph: fx.Graph) -> set[fx.Node]:
    """Every node whose value depends on the images."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _needed(node: fx.Node, cut: str, after: dict[fx.Node, None], images: set[fx.Node]) -> set[fx.Node]:
    """What must be handed across the cut so that this node's value is known after it."""
    if node.name == cut or node in after or node not in images or _is_batch_size(node, images):
        return set()
    if isinstance(node.meta.get("val"), torch.Tensor):
        return {node}
    return set().union(*(_needed(source, cut, after, images) for source in node.all_input_nodes))


def _is_batch_size(node: fx.Node, images: set[fx.Node]) -> bool:
    """Whether a node asks how many images there are."""
    return bool(node.target is aten.sym_size.int and node in images and node.args[1] == 0)
