"""Exporting: how a module becomes a graph, and how a graph becomes a file.

`torch.export` gives a functional graph without hooks, in-place operations or hidden state.
"""

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

from trojancam.errors import ModelError, Remedy
from trojancam.network import independence
from trojancam.network.devices import device_of
from trojancam.network.functional import functional, without_changes_in_place
from trojancam.network.graph import moved, returned_by
from trojancam.network.input import InputSpecification
from trojancam.network.layers import CALLED
from trojancam.network.modules import check_usable, evaluating, other_input, uncompiled
from trojancam.network.plain_results import plain_results
from trojancam.network.stepwise import Stepwise, written_down

aten = torch.ops.aten

NAME = re.compile(r"\w+(\.\w+)*")

_ABOUT_SHAPES = re.compile(r"\b(shapes?|sizes?|dimensions?|dims?|multiplied|expected input)\b|\d X \[", re.IGNORECASE)
_tracing = threading.Lock()  # PyTorch's exporter keeps its state in the process: two at once take each other's

Traced = tuple[fx.GraphModule, tuple[str, ...], tuple[str, ...], Sequence[Sequence[Any]]]


def traced(module: nn.Module, specification: InputSpecification) -> Traced:
    """The module's graph with all that it returns, what its outputs are called, what of it was left out, and two runs of it."""
    check_usable(module, specification.number_of_channels)
    device = _check_weights(module)
    try:
        with (
            _tracing,
            torch.inference_mode(False),
            evaluating(module),
            independence.unchanged(module),
            torch_quiet(),
        ):
            example = torch.zeros(2, specification.number_of_channels, *specification.size, device=device)
            with independence.in_evaluation() as mode:
                runs = _twice(module, specification, device)  # before the exporter, which may leave something in it
                outer, whole, names = _written_down(module, example) or _exported(module, example)
            whole = whole if device.type == "cpu" else moved(whole, device)  # with it all that its code holds itself
            _weights_channels_last(whole)
    except ModelError:
        raise
    except Exception as error:  # a foreign module can raise anything
        if (kind := other_input(module)) is not None:
            raise ModelError(
                f"forward() of this module takes {kind}, but images alone are given; wrap it in a module that takes images, and "
                "makes that of them"
            ) from error
        height, width = specification.size
        problem = f"this module cannot be exported as a graph for images of {height}x{width} pixels: {_reason(error)}"
        if _ABOUT_SHAPES.search(problem):
            raise ModelError(f"{problem}, so they may not be of the size that it takes", Remedy.SIZE) from error
        raise ModelError(problem) from error
    if outer is not module:
        _name_as_inside(whole)
    whole.requires_grad_(False)
    _take_any_memory_format(whole.graph)
    independence.keep_images_axis(whole.graph)
    whole.graph.eliminate_dead_code()
    return whole, names, mode.notes, runs


def _twice(module: nn.Module, specification: InputSpecification, device: torch.device) -> list[list[Any]]:
    """All that a module returns for the same images, twice; nothing where it cannot be run so."""
    if device.type == "meta":
        return []  # there are no numbers
    images = independence.tried_images(specification)[: independence.PAIR].to(device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), independence.unchanged(module), _as_taken(module):
            return [pytree.tree_leaves(module(images)) for _ in range(2)]
    except Exception:  # a foreign module can raise anything; what the exporter says of that is more
        return []


def _written_down(module: nn.Module, example: Tensor) -> tuple[nn.Module, fx.GraphModule, tuple[str, ...]] | None:
    """As `_exported`, many times as fast: of a module that is a list of known operations; None of any other."""
    if not isinstance(module, Stepwise) or example.device.type != "cpu" or _TAKEN.intersection(_own_names(module)):
        return None
    try:
        whole = written_down(module, example)
    except Exception:  # an operation can raise anything; what the exporter says of that is more
        return None
    if whole is None:
        return None
    results = returned_by(whole.graph)
    return module, without_changes_in_place(whole), tuple(str(number) for number in range(len(results)))


def _exported(module: nn.Module, example: Tensor) -> tuple[nn.Module, fx.GraphModule, tuple[str, ...]]:
    """The module's functional graph for any number of images, what its results are called, and the module that it was made of."""
    outer, program = _program(module, example)
    return outer, functional(program), _names_of_leaves(program.call_spec.out_spec)


def _program(module: nn.Module, example: Tensor) -> tuple[nn.Module, ExportedProgram]:
    """The module's program for any number of images, and the module that it was made of: it, or one around it.

    It is made by running the module, unless it asks for `len(images)` or `int(images.shape[0])`: that gives the number of
    images in the example. Then it is made by reading the module's code.
    """
    any_number = ({0: Dim("n")},)
    outer = _Around(module) if _TAKEN.intersection(_own_names(module)) or _takes_any(module) else module
    try:
        with _as_taken(module):
            return outer, export(outer, (example,), dynamic_shapes=any_number, strict=False)
    except Exception as error:  # a foreign module can raise anything
        if "Constraints violated" not in str(error):
            raise
        outer = _Around(module)
        try:
            return outer, export(outer, (example,), dynamic_shapes=any_number, strict=True)
        except Exception:  # the first reason is the one that its author understands
            raise error from None


@contextmanager
def _as_taken(module: nn.Module) -> Iterator[None]:
    """The module runs uncompiled meanwhile, and returns what the exporter knows."""
    with uncompiled(), plain_results(module):
        yield


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
    with exported_again(whole, specification, "an exported program") as program:
        torch.export.save(program, stream, extra_files=dict(beside))


@contextmanager
def exported_again(whole: fx.GraphModule, specification: InputSpecification, wanted: str) -> Iterator[ExportedProgram]:
    """A graph's program for any number of images; what PyTorch says meanwhile is not heard, `wanted` is what it becomes.

    Raises:
        ModelError: if the graph cannot be exported again, or become that.
    """
    example = torch.zeros(2, specification.number_of_channels, *specification.size)
    try:
        with _tracing, torch.inference_mode(False), torch_quiet():
            yield export(whole, (example,), dynamic_shapes=({0: Dim("n")},), strict=False)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"this network cannot be written as {wanted}: {_reason(error)}") from error


@contextmanager
def torch_quiet() -> Iterator[None]:
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
