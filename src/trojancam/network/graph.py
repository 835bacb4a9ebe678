"""Graphs: how a module becomes one, and how one gets more outputs or is cut. Only this, `channels_last.py` and
`independence.py` edit graphs.

`torch.export` gives a functional graph without hooks, in-place operations or hidden state. Nothing here changes a graph
that is in use: every function returns a new one on the same weights.
"""

import copy
import dataclasses
import functools
import inspect
import io
import keyword
import logging
import re
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils import _pytree as pytree

from trojancam.errors import ModelError
from trojancam.network import independence
from trojancam.network.bypasses import bypasses
from trojancam.network.channels_last import in_channels_first
from trojancam.network.devices import device_of
from trojancam.network.input import InputSpecification
from trojancam.network.layers import CALLED
from trojancam.network.modules import COMPILED, check_usable, evaluating, unwrapped
from trojancam.network.operations import BATCH_NORMALISATIONS
from trojancam.network.outputs import Output, choice_in_words, chosen_output

aten = torch.ops.aten

NAME = re.compile(r"\w+(\.\w+)*")
_SOFTMAX = {
    aten.softmax.int, aten._softmax.default, aten.log_softmax.int, aten._log_softmax.default,
}  # fmt: skip
_tracing = threading.Lock()  # PyTorch's exporter keeps its state in the process: two at once take each other's
_IDLE = {aten.clone.default, aten.alias.default, aten.contiguous.default, aten.detach.default}


def classifier(
    module: nn.Module, specification: InputSpecification, output: Output = None, classes: int | None = None
) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """The graph from images to the logits of a module, and what was done to come to these, in words.

    Of several outputs the one that is named or numbered is taken, else the one that gives `classes` numbers for each image,
    where their number is known, or that is called the logits; probabilities are taken back to the logits that they
    are made of; and one number for each image becomes the logits of two classes.

    Raises:
        ModelError: if the module cannot be exported, or gives no logits.
        UnknownNameError: if it has no such output.
        SeveralOutputsError: if several can be it.
    """
    whole, names, left_out, runs = _traced(unwrapped(module), specification)
    place = chosen_output(names, _widths(_returned(whole.graph)), output, classes)
    whole, probabilities = _without_probabilities(_of_output(whole, place))
    _check_logits(whole)
    independence.without_state(whole, logits_node(whole))
    independence.check_each_image_alone(whole, logits_node(whole), specification)
    independence.check_runs_alike([results[place] for results in runs if len(results) == len(names)])
    whole, two = _of_two_classes(whole)
    past = tuple(each.in_words() for each in bypasses(whole.graph))
    return whole, (*left_out, *choice_in_words(names, place), *probabilities, *two, *past)


Traced = tuple[fx.GraphModule, tuple[str, ...], tuple[str, ...], Sequence[Sequence[Any]]]


def _traced(module: nn.Module, specification: InputSpecification) -> Traced:
    """The module's graph with all that it returns, what its outputs are called, what of it was left out, and two runs of it."""
    check_usable(module, specification.number_of_channels)
    device = _check_weights(module)
    try:
        with (
            _tracing,
            torch.inference_mode(False),
            evaluating(module),
            independence.unchanged(module),
            _torch_quiet(),
        ):
            example = torch.zeros(2, specification.number_of_channels, *specification.size, device=device)
            with independence.in_evaluation() as mode:
                runs = _twice(module, specification, device)  # before the exporter, which may leave something in it
                outer, program = _exported(module, example)
            whole = copy.deepcopy(program.run_decompositions({}).module(check_guards=False))
            names = _names_of_leaves(program.call_spec.out_spec)
            whole = whole if device.type == "cpu" else moved(whole, device)  # with it all that its code holds itself
            _weights_channels_last(whole)
    except Exception as error:  # a foreign module can raise anything
        height, width = specification.size
        raise ModelError(
            f"this module cannot be exported as a graph for images of {height}x{width} pixels: {_reason(error)}"
        ) from error
    if outer is not module:
        _name_as_inside(whole)
    whole.requires_grad_(False)
    _take_any_memory_format(whole.graph)
    independence.keep_images_axis(whole.graph)
    whole.graph.eliminate_dead_code()
    return whole, names, mode.notes, runs


def _twice(module: nn.Module, specification: InputSpecification, device: torch.device) -> list[list[Any]]:
    """All that a module returns for the same images, twice; nothing where it cannot be run so."""
    if device.type == "meta" or any(type(part).__name__ == COMPILED for part in module.modules()):
        return []  # there are no numbers, or it would be compiled for this alone
    images = independence.tried_images(specification)[: independence.PAIR].to(device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), independence.unchanged(module), _plain_results(module):
            return [pytree.tree_leaves(module(images)) for _ in range(2)]
    except Exception:  # a foreign module can raise anything; what the exporter says of that is more
        return []


def _exported(module: nn.Module, example: Tensor) -> tuple[nn.Module, ExportedProgram]:
    """The module's program for any number of images, and the module that it was made of: it, or one around it.

    It is made by running the module, unless it asks for `len(images)` or `int(images.shape[0])`: that gives the number of
    images in the example. Then it is made by reading the module's code.
    """
    any_number = ({0: Dim("n")},)
    outer = _Around(module) if _TAKEN.intersection(_own_names(module)) or _takes_any(module) else module
    try:
        with _plain_results(module):
            return outer, export(outer, (example,), dynamic_shapes=any_number, strict=False)
    except Exception as error:  # a foreign module can raise anything
        if "Constraints violated" not in str(error):
            raise
        outer = _Around(module)
        try:
            return outer, export(outer, (example,), dynamic_shapes=any_number, strict=True)
        except Exception:  # the first reason is the one that its author understands
            raise error from None


class _Around(nn.Module):
    """A module one level down, where its parts may have names that a graph keeps for itself, such as `graph`."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, images: Tensor) -> Any:
        return self.inside(images)


_TAKEN = frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph()))).difference(dir(nn.Module()))


def _own_names(module: nn.Module) -> Iterator[str]:
    """What a module calls its parts and its own weights."""
    for own in (module.named_children(), module.named_parameters("", False), module.named_buffers("", False)):
        yield from (name for name, _ in own)


def _takes_any(module: nn.Module) -> bool:
    """Whether its `forward` takes `*args`: the exporter wants to know what its one input is called."""
    parameters = inspect.signature(module.forward).parameters.values()
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)


def _name_as_inside(whole: fx.GraphModule) -> None:
    """Call the modules that nodes came from, and weights, what they are called one level down."""
    for node in whole.graph.nodes:
        stack = node.meta.get("nn_module_stack") or {}
        named = {key: (path.removeprefix("inside").removeprefix("."), kind) for key, (path, kind) in stack.items()}
        node.meta["nn_module_stack"] = named
        if node.op == "get_attr":
            node.meta[CALLED] = node.target.removeprefix("inside.")
    inside = dict(whole.named_children()).get("inside")
    if inside is not None and not _TAKEN.intersection(_own_names(inside)):
        _lift(whole, inside)


def _lift(whole: fx.GraphModule, inside: nn.Module) -> None:
    """Put what a graph has one level down where the graph itself is."""
    del whole.inside
    for part in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
        getattr(whole, part).update(getattr(inside, part))
    for node in whole.graph.find_nodes(op="get_attr"):
        node.target = node.target.removeprefix("inside.")
    whole.recompile()


@contextmanager
def _plain_results(module: nn.Module) -> Iterator[None]:
    """The module returns dicts for dataclasses meanwhile: the exporter knows no results of kinds of somebody's own."""
    before = vars(module).get("forward")
    forward = module.forward

    @functools.wraps(forward)
    def plain(*args: Any, **named: Any) -> Any:
        return _in_dicts(forward(*args, **named))

    module.forward = plain
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


def _in_dicts(result: Any) -> Any:
    if not dataclasses.is_dataclass(result) or isinstance(result, dict) or type(result) in pytree.SUPPORTED_NODES:
        return result
    parts = {field.name: _in_dicts(getattr(result, field.name)) for field in dataclasses.fields(result)}
    return {name: part for name, part in parts.items() if part is not None}


def _names_of_leaves(structure: pytree.TreeSpec) -> tuple[str, ...]:
    """What the results of a module are called: `logits`, or `1` in a tuple, or `heads.0` where one holds others."""
    numbered = structure.unflatten(range(structure.num_leaves))
    try:
        paths = [path for path, _ in pytree.tree_flatten_with_path(numbered)[0]]
    except ValueError:  # a kind of its author's that does not say what its parts are called
        return tuple(str(number) for number in range(structure.num_leaves))
    return tuple(".".join(_part_of(key) for key in path) or "0" for path in paths)


def _part_of(key: object) -> str:
    """One step on the way to a result: the number in a tuple, the key in a dict, the field of a dataclass."""
    return str(next(getattr(key, kind) for kind in ("idx", "key", "name") if hasattr(key, kind)))


def _of_output(whole: fx.GraphModule, place: int) -> fx.GraphModule:
    """The graph of one of the results alone, in `n k h w`."""
    results = _returned(whole.graph)
    if not results or not isinstance(results[place], fx.Node):
        raise ModelError("a classifier gives logits of shape (n, classes), but this module gives no tensor")
    return in_channels_first(returning(whole, [results[place].name]))


def _check_weights(module: nn.Module) -> torch.device:
    """Refuse weights that no graph can be made of; return the device on which they lie."""
    weights = (*module.named_parameters(), *module.named_buffers())
    for name, tensor in weights:
        if not NAME.fullmatch(name):  # PyTorch writes it into the graph's code as it stands, and runs that
            raise ModelError(f"the weights have an impossible name ({name!r:.80}); use letters, digits and underscores")
        if reserved := next(filter(keyword.iskeyword, name.split(".")), None):
            raise ModelError(f"the weights {name} are called by Python's own word {reserved!r}; rename that module")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ModelError(f"the weights {name} are {tensor.dtype}; convert the module with module.float()")
    return device_of(tensor for _, tensor in weights)


def _weights_channels_last(whole: fx.GraphModule) -> None:
    """Lay kernels out as images come, so that no convolution rearranges them at every run."""
    for tensor in (*whole.parameters(), *whole.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def _take_any_memory_format(graph: fx.Graph) -> None:
    """Reshape where the exporter saw that a view would do: it would not do for channels-last images."""
    for node in graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default


def write(
    whole: fx.GraphModule, specification: InputSpecification, stream: IO[bytes], beside: Mapping[str, str]
) -> None:
    """Write a graph as an exported program, with texts by name beside it.

    Raises:
        ModelError: if the graph cannot be exported again.
    """
    example = torch.zeros(2, specification.number_of_channels, *specification.size)
    try:
        with _tracing, torch.inference_mode(False), _torch_quiet():
            program = export(whole, (example,), dynamic_shapes=({0: Dim("n")},), strict=False)
            torch.export.save(program, stream, extra_files=dict(beside))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"this network cannot be written as an exported program: {_reason(error)}") from error


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
    node: fx.Node = _returned(whole.graph)[0]
    return node


def _widths(results: Sequence[Any]) -> list[int | None]:
    """How many numbers each result gives for an image: None where it gives no row of them, or what another gives, too.

    Of logits and of their probabilities, the logits count.
    """
    rows = [_behind_idle(result) if _rank(result) == 2 else None for result in results]
    places: dict[fx.Node, int] = {}
    for place, row in enumerate(rows):
        if row is not None:
            logits = _before_probabilities(row) or row
            if logits not in places or (row is logits and rows[places[logits]] is not logits):
                places[logits] = place
    own = set(places.values())
    return [int(row.meta["val"].shape[1]) if row and place in own else None for place, row in enumerate(rows)]


def _behind_idle(node: fx.Node) -> fx.Node:
    """The node whose value this one hands on."""
    while node.target in _IDLE and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _before_probabilities(node: fx.Node) -> fx.Node | None:
    """The logits of which a softmax over the classes, its logarithm or a sigmoid makes probabilities; None if it is none."""
    over_classes = node.target in _SOFTMAX and node.args[1] in (1, -1)
    probabilities = _rank(node) == 2 and (over_classes or node.target is aten.sigmoid.default)
    return _behind_idle(node.all_input_nodes[0]) if probabilities else None


def _without_probabilities(whole: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """The same graph with the logits that a last softmax over the classes, its logarithm or a sigmoid is given."""
    last = _behind_idle(logits_node(whole))
    logits = _before_probabilities(last)
    if logits is None:
        return whole, ()
    kind = "softmax" if last.target in _SOFTMAX else "sigmoid"
    return returning(whole, [logits.name]), (f"it ends in a {kind}: its logits are taken before that",)


def _of_two_classes(whole: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Where there is one number `z` for each image: `-z / 2` and `z / 2`, whose softmax gives class 1 `sigmoid(z)`.

    Halves, so that the heat map of either class shows something: that of a class whose logit is always 0 would not.
    """
    if number_of_classes(whole) != 1:
        return whole, ()
    both = returning(whole, [logits_node(whole).name])
    number = logits_node(both)
    with both.graph.inserting_before(next(iter(reversed(both.graph.nodes)))):
        half = _computed(both.graph, aten.mul.Tensor, (number, 0.5))
        less = _computed(both.graph, aten.neg.default, (half,))
        classes = _computed(both.graph, aten.cat.default, ([less, half], 1))
    said = "it gives one number for each image: taken for what speaks for class 1 and against class 0"
    return returning(both, [classes.name]), (said,)


def _computed(graph: fx.Graph, target: Any, args: tuple[Any, ...]) -> fx.Node:
    node = graph.call_function(target, args)
    node.meta["val"] = target(*fx.map_arg(args, lambda source: source.meta["val"]))
    return node


def number_of_classes(whole: fx.GraphModule) -> int:
    """How many classes the logits have."""
    return int(logits_node(whole).meta["val"].shape[1])


def _check_logits(whole: fx.GraphModule) -> None:
    """Refuse what is no batch of numbers for each class."""
    logits = logits_node(whole)
    if _rank(logits) != 2:
        shape = ", ".join("n" if place == 0 else str(extent) for place, extent in enumerate(logits.meta["val"].shape))
        raise ModelError(
            f"a classifier gives logits of shape (n, classes), but this module gives a tensor of shape ({shape})"
        )


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
    weights = {id(value): _as_weight(value) for value in values.values()}  # one that has two names stays one
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        setattr(changed.get_submodule(owner), attribute, weights[id(value)])
    return changed


def moved(whole: fx.GraphModule, device: torch.device) -> fx.GraphModule:
    """The same graph on another device: its weights, its constants, and what it makes on the way."""
    elsewhere: dict[int, Any] = {id(weight): _as_weight(weight.to(device)) for weight in whole.parameters()}
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


def _as_weight(values: Tensor) -> nn.Parameter:
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
    return fx.GraphModule(whole, graph)


def _returned(graph: fx.Graph) -> list[Any]:
    """All that a graph returns, one after the other."""
    returned = next(iter(reversed(graph.nodes))).args[0]
    return list(returned) if isinstance(returned, tuple | list) else [returned]


def _rank(result: Any) -> int:
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
