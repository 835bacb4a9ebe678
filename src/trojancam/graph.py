"""Graphs: how a module becomes one, and how one gets more outputs or is cut. Only this and `channels_last.py` edit graphs.

`torch.export` gives a functional graph without hooks, in-place operations or hidden state. Nothing here changes a graph
that is in use: every function returns a new one on the same weights.
"""

import copy
import io
import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from torch import fx, nn
from torch.export import Dim, export
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from trojancam.channels_last import in_channels_first
from trojancam.errors import ModelError
from trojancam.training import evaluating
from trojancam.types import InputSpecification

aten = torch.ops.aten

_SOFTMAX = {
    aten.softmax.int, aten._softmax.default, aten.log_softmax.int, aten._log_softmax.default,
}  # fmt: skip
_IDLE = {aten.clone.default, aten.alias.default, aten.contiguous.default, aten.detach.default}


def exported(module: nn.Module, specification: InputSpecification) -> fx.GraphModule:
    """The module's functional graph for any number of images, on a frozen copy of its weights."""
    _check_weights(module)
    try:
        with torch.inference_mode(False), evaluating(module), _torch_quiet():
            example = torch.zeros(2, specification.number_of_channels, *specification.size)
            program = export(module, (example,), dynamic_shapes=({0: Dim("n")},), strict=False)
            whole = copy.deepcopy(program.run_decompositions({}).module(check_guards=False))
    except Exception as error:  # a foreign module can raise anything
        height, width = specification.size
        raise ModelError(
            f"this module cannot be exported as a graph for images of {height}x{width} pixels: {_reason(error)}"
        ) from error
    whole.requires_grad_(False)
    _take_any_memory_format(whole.graph)
    whole.graph.eliminate_dead_code()
    return in_channels_first(returning(whole, [_first_output(whole.graph).name]))


def _check_weights(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.device.type != "cpu":
            raise ModelError(f"the weights {name} are on the device {tensor.device}; move the module with module.cpu()")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ModelError(f"the weights {name} are {tensor.dtype}; convert the module with module.float()")


def _take_any_memory_format(graph: fx.Graph) -> None:
    """Reshape where the exporter saw that a view would do: it would not do for channels-last images."""
    for node in graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default


def returning(whole: fx.GraphModule, nodes: Sequence[str]) -> fx.GraphModule:
    """The same graph, returning a tuple of the values of these nodes; what they do not need is left out."""
    copied, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    copied.graph_copy(whole.graph, twins)
    by_name = {node.name: twin for node, twin in twins.items()}
    copied.output(tuple(by_name[name] for name in nodes))
    copied.eliminate_dead_code()
    return fx.GraphModule(whole, copied)


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
    return fx.GraphModule(whole, copied)


def logits_node(whole: fx.GraphModule) -> fx.Node:
    """The node whose value the graph returns first."""
    return _first_output(whole.graph)


def without_softmax(whole: fx.GraphModule) -> fx.GraphModule:
    """The same graph with the logits that a last (log-)softmax over the classes is given; itself, where none is last."""
    last = logits_node(whole)
    while last.target in _IDLE and last.all_input_nodes:
        last = last.all_input_nodes[0]
    shape = getattr(last.meta.get("val"), "shape", ())
    if last.target not in _SOFTMAX or len(shape) != 2 or last.args[1] not in (1, -1):
        return whole
    return returning(whole, [last.all_input_nodes[0].name])


def number_of_classes(whole: fx.GraphModule) -> int:
    """How many classes the logits have.

    Raises:
        ModelError: if what the module gives are no logits.
    """
    logits = logits_node(whole).meta.get("val")
    shape = ", ".join(
        "n" if position == 0 else str(extent) for position, extent in enumerate(getattr(logits, "shape", ()))
    )
    if logits is None or logits.ndim != 2:
        gives = f"a tensor of shape ({shape})" if logits is not None else "no tensor"
        raise ModelError(f"a classifier gives logits of shape (n, classes), but this module gives {gives}")
    return int(logits.shape[1])


def parameters(whole: fx.GraphModule) -> dict[str, tuple[str, ...]]:
    """The names of the parameters by the module that holds them, modules in the order in which they first run."""
    position = {node: place for place, node in enumerate(whole.graph.nodes)}
    known = {name for name, _ in whole.named_parameters(remove_duplicate=False)}  # tied weights have two names
    held = [node for node in whole.graph.nodes if node.op == "get_attr" and node.target in known and node.users]
    groups: dict[str, list[str]] = {}
    for node in sorted(held, key=lambda node: min(position[user] for user in node.users)):
        groups.setdefault(node.target.rpartition(".")[0] or node.target, []).append(node.target)
    return {module: tuple(dict.fromkeys(names)) for module, names in groups.items()}


def with_parameters(whole: fx.GraphModule, values: Mapping[str, torch.Tensor]) -> fx.GraphModule:
    """The same graph with these parameters instead; it shares all others with the first one."""
    changed = returning(whole, [logits_node(whole).name])
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        setattr(changed.get_submodule(owner), attribute, nn.Parameter(value, requires_grad=False))
    return changed


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
    return fx.GraphModule(whole, graph)


def _first_output(graph: fx.Graph) -> fx.Node:
    returned = next(iter(reversed(graph.nodes))).args[0]
    first = returned[0] if isinstance(returned, tuple | list) and returned else returned
    if not isinstance(first, fx.Node):
        raise ModelError("a classifier gives logits of shape (n, classes), but this module gives no tensor")
    return first


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


@contextmanager
def _torch_quiet() -> Iterator[None]:
    """No warnings or log of torch's own making, and nothing printed of what it could not trace; other logs go on.

    It prints the graph up to where it failed to `sys.stderr`, with no way to turn that off: hence the redirection.
    """
    known = logging.root.manager.loggerDict.values()
    loud = [log for log in known if isinstance(log, logging.Logger) and f"{log.name}.".startswith("torch.")]
    loud = [log for log in loud if not log.disabled]
    for log in loud:
        log.disabled = True
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log in loud:
            log.disabled = False


def _reason(error: Exception) -> str:
    """Why a module could not be exported, and the line of its own code that stood in the way."""
    reason = next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, GuardOnDataDependentSymNode):
        reason = "what it does depends on the values of the images, which a graph cannot express"
    elif "Constraints violated" in reason:
        reason = "it works for one number of images only; let it take any number"
    inside_torch = str(Path(torch.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    own = [frame for frame in frames if not frame.filename.startswith((inside_torch, "<")) and frame.name == "forward"]
    return f"{reason} ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})" if own else reason
