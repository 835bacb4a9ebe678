"""ONNX files: read node by node into a module of our own; nothing in the file is run but the operations listed here."""

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trojancam.errors import ModelError, Remedy
from trojancam.formats.onnx import decoding as onnx_file
from trojancam.formats.onnx.decoding import as_said
from trojancam.formats.onnx.module import Graph
from trojancam.formats.onnx.node import Node
from trojancam.formats.onnx.patterns import recognised
from trojancam.formats.onnx.plan import IMAGES, MAX_STEPS, Located, Plan, Weight
from trojancam.formats.onnx.tensors import FLOATS, WHOLE, Tensors
from trojancam.formats.opened import OpenedModel
from trojancam.network.outputs import UNKNOWN, Output, choice_in_words, chosen_output

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, ValueInfoProto

CLASS_NAMES = ("names", "classes", "labels", "class_names")
_CHANNELS = (1, 3)
Logits = tuple[str, int, list[str]]
PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid")
_GUESSES = (32, 224, 28, 64, 96, 128, 299)


@dataclass(frozen=True)
class _Input:
    """What a file takes: the number of images it is made for, and the shape of one, None where it is free."""

    name: str
    batch: int | None
    channels: int | None
    size: tuple[int | None, int | None]
    channels_last: bool
    bytes: bool


def read_onnx(path: Path, output: Output = None, size: tuple[int, int] | None = None) -> OpenedModel:
    """The network in an ONNX file, with layers named by PyTorch's modules or by nodes, for any number of images.

    Of several outputs the one with classes is taken, or the one that `output` names or numbers. `size` is the (height,
    width) of images where the file leaves it open. Weights of 16 and 64 bits become 32.

    Raises:
        ModelError: if the file is missing, damaged, not to be trusted, or is no plain classifier of images, or takes
            images of another size.
        UnknownNameError: if it has no such output.
        SeveralOutputsError: if several can be the logits.
    """
    path = Path(path)
    model = onnx_file.parsed(path)
    opset = onnx_file.opset(path, model)
    tensors = Tensors(path)
    constants = _constants(path, model.graph, tensors)
    takes = _sized(path, _input(path, model.graph, constants), size)
    chosen, notes = _output(path, model.graph, output)
    nodes = _needed(path, model.graph, opset, chosen, {takes.name, *constants}, tensors)
    channels = takes.channels or _channels(nodes, constants)
    plan, (name, classes, told) = _planned(path, nodes, constants, replace(takes, channels=channels), chosen)
    module = Graph(recognised(plan, name), name).eval()
    class_names, unsaid = _class_names(model, max(classes, 2))  # one number stands for two classes
    height, width = takes.size
    return OpenedModel(
        module=module,
        format="ONNX",
        name=path.stem,
        size=(height, width) if height and width else None,
        channels=channels,
        class_names=class_names,
        notes=(*notes, *told, *unsaid, *_told(takes, opset), *_changed(nodes, plan, tensors)),
    )


def _told(takes: _Input, opset: int) -> list[str]:
    notes = [f"it uses ONNX's operator set {opset}"]
    if takes.channels_last:
        notes.append("it takes images with their channels last; here they come first")
    if takes.batch is not None:
        notes.append(f"it was made for {takes.batch} image(s) at a time; here it takes any number")
    if takes.bytes:
        notes.append("it takes whole numbers, most likely bytes from 0 to 255")
    return notes


def _changed(nodes: Sequence[Node], plan: Plan, tensors: Tensors) -> list[str]:
    """What is otherwise here than in the file: the width of its weights, and dropout that was left on."""
    notes = []
    if tensors.widened:
        notes.append(f"weights in {', '.join(sorted(tensors.widened))} were made 32-bit floats")
    dropouts = [node.inputs[2] for node in nodes if node.operation == "Dropout" and len(node.inputs) > 2]
    if any(name in plan.constants and bool(plan.constants[name].tensor.any()) for name in dropouts):
        notes.append("it was exported in training; what acts there only is left out: dropout")
    return notes


def _constants(path: Path, graph: "GraphProto", tensors: Tensors) -> dict[str, Weight]:
    """The weights in the file, by name."""
    constants: dict[str, Weight] = {}
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise ModelError(f"{path} holds two tensors of the name {tensor.name[:80]!r}; get it again from its source")
        constants[tensor.name] = Weight(tensor.name, tensors.read(tensor))
    return constants


def _input(path: Path, graph: "GraphProto", constants: dict[str, Weight]) -> _Input:
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(as_said(value.name[:40]) for value in inputs[:8]) or "none"
        raise ModelError(f"{path} has {len(inputs)} inputs ({names}), but a classifier takes images alone")
    kind = inputs[0].type.tensor_type
    shape = _declared(inputs[0])
    if shape is None or len(shape) != 4 or kind.elem_type not in FLOATS | WHOLE:
        shown = "x".join(str(extent or "?") for extent in (shape or ())) or "unknown shape"
        raise ModelError(f"{path} takes {shown}, but images have four axes: their number, channels, height and width")
    batch, *image = shape
    channels_last = _is_channels_last(graph, inputs[0].name, image)
    channels, height, width = (image[2], image[0], image[1]) if channels_last else image
    if any(extent is not None and extent > 8192 for extent in image) or (batch or 0) > 65536:
        raise ModelError(f"{path} takes images of {height}x{width} pixels, more than the 8192 of any network here")
    return _Input(inputs[0].name, batch, channels, (height, width), channels_last, kind.elem_type in WHOLE)


def _declared(value: "ValueInfoProto") -> list[int | None] | None:
    """The extents that the file tells, None for those it leaves free; None where it tells nothing."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim]


def _is_channels_last(graph: "GraphProto", name: str, image: Sequence[int | None]) -> bool:
    """By the extents; where they leave it open, by a first node that turns the axes."""
    if image[0] in _CHANNELS or (image[2] not in _CHANNELS and image[2] is not None):
        return False
    if image[2] in _CHANNELS:
        return True
    users = [node for node in graph.node if name in node.input]
    turns = [list(attribute.ints) for node in users if node.op_type == "Transpose" for attribute in node.attribute]
    return bool(users) and turns == [[0, 3, 1, 2]] * len(users)


def _output(path: Path, graph: "GraphProto", wanted: Output) -> tuple[str, tuple[str, ...]]:
    """The output that is taken for the logits, and what is to be said about the choice."""
    names: list[str] = [value.name for value in graph.output]
    floats = [value.type.tensor_type.elem_type in (0, *FLOATS) for value in graph.output]
    widths = [_width(value) if able else None for able, value in zip(floats, graph.output, strict=True)]
    if all(width is None for width in widths):  # then any with numbers, of whatever shape
        widths = [UNKNOWN if able else None for able in floats]
    double = _made_into_probabilities(
        graph, [name for name, width in zip(names, widths, strict=True) if width is not None]
    )
    widths = [None if name in double else width for name, width in zip(names, widths, strict=True)]
    if wanted is None and not any(floats):
        raise ModelError(
            f"{path} gives no logits, only {as_said(', '.join(names)) or 'nothing'}; export the network anew"
        )
    place = chosen_output(names, widths, wanted)
    return names[place], choice_in_words(names, place)


def _width(value: "ValueInfoProto") -> int | None:
    """How many numbers an output declares for an image: None, if it declares no row of them."""
    shape = _declared(value)
    return (shape[1] or UNKNOWN) if shape is not None and len(shape) == 2 else None


def _made_into_probabilities(graph: "GraphProto", outputs: Sequence[str]) -> set[str]:
    """Those of the outputs that are the probabilities of another one, which can be the logits as well."""
    last = [node for node in graph.node if node.op_type in PROBABILITIES and node.input and node.output]
    given = set(outputs)
    return {node.output[0] for node in last if node.input[0] in given}


def _needed(path: Path, graph: "GraphProto", opset: int, output: str, given: set[str], tensors: Tensors) -> list[Node]:
    """The nodes that the output depends on, in their order."""
    made = set(given)
    for proto in graph.node:
        missing = [name for name in proto.input if name and name not in made]
        if missing:
            raise ModelError(
                f"in {path} the {as_said(proto.op_type)} node {proto.name[:80]!r} takes {missing[0][:80]!r} before anything "
                "makes it: its graph is cut or runs in a circle; get the file again from its source"
            )
        gives = [name for name in proto.output if name]
        if made.intersection(gives) or len(set(gives)) != len(gives):
            raise ModelError(f"in {path} two nodes make {gives[0][:80]!r}; get it again from its source")
        made.update(gives)
    wanted, nodes = {output}, []
    for proto in reversed(graph.node):
        if wanted.intersection(proto.output):
            wanted.update(filter(None, proto.input))
            outputs = tuple(name if name in wanted else "" for name in proto.output)
            nodes.append(_node(proto, outputs, opset, tensors))
    return nodes[::-1]


def _node(proto: Any, outputs: tuple[str, ...], opset: int, tensors: Tensors) -> Node:
    last = max((place for place, name in enumerate(proto.input) if name), default=-1)
    inputs = tuple(proto.input)[: last + 1]
    attributes = {attribute.name: _attribute(attribute, tensors) for attribute in proto.attribute}
    return Node(proto.op_type, proto.name, inputs, outputs, attributes, opset)


def _attribute(attribute: "AttributeProto", tensors: Tensors) -> Any:
    """An attribute's value; None for kinds that no operation here has."""
    kinds: dict[int, Callable[[], Any]] = {
        attribute.FLOAT: lambda: float(attribute.f),
        attribute.INT: lambda: int(attribute.i),
        attribute.STRING: lambda: attribute.s.decode(errors="replace"),
        attribute.TENSOR: lambda: tensors.read(attribute.t),
        attribute.FLOATS: lambda: tuple(attribute.floats),
        attribute.INTS: lambda: tuple(attribute.ints),
    }
    return kinds[attribute.type]() if attribute.type in kinds else None


def _sized(path: Path, takes: _Input, size: tuple[int, int] | None) -> _Input:
    """The input with the size that is asked for, if it can have it."""
    if size is None:
        return takes
    if any(own is not None and own != asked for own, asked in zip(takes.size, size, strict=True)):
        height, width = (extent or "?" for extent in takes.size)
        raise ModelError(f"{path} takes images of {height}x{width} pixels, not {size[0]}x{size[1]}", Remedy.NO_SIZE)
    return replace(takes, size=size)


def _planned(
    path: Path, nodes: Sequence[Node], constants: dict[str, Weight], takes: _Input, output: str
) -> tuple[Plan, Logits]:
    """The plan for images of the size that the file tells, else of the first usual one that fits; and its logits."""
    errors, tried = list[ModelError](), 0
    for height, width in _sizes(takes.size):
        plan = Plan(path, constants, takes.batch, (takes.channels or 3, height, width), None not in takes.size)
        plan.located[takes.name] = Located(IMAGES, (0, 2, 3, 1) if takes.channels_last else None)
        try:
            for node in nodes:
                plan.add(node)
            return plan, _logits(path, plan, output)
        except ModelError as error:
            errors.append(error)
            tried += len(plan.steps)
            if tried > MAX_STEPS // 2:  # another size would take as long again
                break
    if len({str(error) for error in errors}) == 1:
        raise errors[0]
    raise ModelError(
        f"{path} leaves the size of its images open, and runs for none of the usual ones; say which it takes"
    )


def _sizes(size: tuple[int | None, int | None]) -> list[tuple[int, int]]:
    height, width = size
    if height is None and width is None:
        return [(guess, guess) for guess in _GUESSES]
    return [(height or width or 0, width or height or 0)]


def _channels(nodes: Sequence[Node], constants: dict[str, Weight]) -> int:
    """The channels that the first convolution takes."""
    for node in nodes:
        if node.operation == "Conv" and len(node.inputs) > 1 and node.inputs[1] in constants:
            shape = constants[node.inputs[1]].tensor.shape
            return int(shape[1]) * max(1, node.integer("group", 1)) if len(shape) == 4 else 3
    return 3


def _logits(path: Path, plan: Plan, output: str) -> Logits:
    """The name of the value that holds the logits, their number, and what was done to them."""
    if output not in plan.located:
        raise ModelError(f"{path} gives {output[:80]!r}, which does not depend on its images; choose another output")
    name, notes = plan.in_order(output), []
    shapes = [tuple(trial.shape) for trial in plan.trials[name]]
    if len(shapes[0]) == 4 and shapes[0][2:] == (1, 1):
        plan.add(Node("Flatten", "", (output,), (f"{output} flat",), {}, 13))
        name = plan.in_order(f"{output} flat")
        shapes = [tuple(trial.shape) for trial in plan.trials[name]]
        notes = [f"its output {output[:80]!r} has a height and a width of 1, which are left out"]
    if len(shapes[0]) != 2 or [shape[0] for shape in shapes] != [2, 3]:
        shown = ", ".join(str(extent) for extent in shapes[1])
        raise ModelError(
            f"{path} gives a value of shape ({shown}) for 3 images, but a classifier gives logits of shape (3, classes); "
            "choose another output, or export the network for any number of images"
        )
    return name, int(shapes[0][1]), notes


def _class_names(model: "ModelProto", classes: int) -> tuple[tuple[str, ...] | None, list[str]]:
    """The class names in the file's metadata, where it has as many as there are classes."""
    for entry in model.metadata_props:
        if entry.key.lower() in CLASS_NAMES and len(entry.value) < 2**17:
            names = _list_of_names(entry.value)
            if names is not None and len(names) == classes:
                return names, []
            return None, [f"its metadata {entry.key!r} do not name its {classes} classes, so they are numbered"]
    return None, []


def _list_of_names(text: str) -> tuple[str, ...] | None:
    """Names from a list, or from a dict by number, in JSON or as Python writes it."""
    for parse in (json.loads, ast.literal_eval):
        try:
            names = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(names, dict):
            numbered = {str(key): name for key, name in names.items()}
            names = [numbered.get(str(number)) for number in range(len(numbered))]
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
