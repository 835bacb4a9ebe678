"""From the nodes of an ONNX graph to the steps that a module takes: constants folded, orders of axes settled, batches freed.

Every step is tried on tensors that have shapes but no memory, for two images and for three. What differs between the
two is the number of images: exporters bake the one of their example into the graph, and here it is taken out again.
The trial also finds what does not fit together and what would ask for too much memory, before anything is computed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.onnx.allowed import OPERATIONS
from trojancam.formats.onnx.image_count import BATCHES, free_expansion, free_shape
from trojancam.formats.onnx.node import Node, Numbers, Operation, Value, as_numbers, as_tensor, listed

MAX_VALUE = 2**27  # elements of one value for one image: 512 MB
MAX_STEPS = 3_500  # the deepest networks take some 2,500
MAX_RESULTS = 2**12  # numbers, such as extents, that one step computes
SPARE_CONSTANTS = 2**25  # elements that folding may take and make beyond some times those of the weights
NUMBER = 100  # a known number costs as much as so many elements
IMAGES = "images"

Order = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant tensor, with the name it has in the file."""

    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Ref:
    """A value that an earlier step made."""

    name: str


@dataclass(frozen=True)
class Located:
    """Where a value of the file is: what a step made, its axes in another order where the file only turned them."""

    name: str
    order: Order | None = None


Argument = Weight | Ref | Numbers | None


@dataclass(frozen=True, eq=False)
class Step:
    """A node with its inputs found; `outputs` are the names under which later steps refer to what it gives."""

    node: Node
    operation: Operation
    arguments: tuple[Argument, ...]
    outputs: tuple[str, ...]

    def run(self, values: Mapping[str, Value], weights: Mapping[int, Tensor]) -> tuple[Value, ...]:
        """What it gives for these values; `weights` by the place of the input."""
        given: list[Value | None] = []
        for place, argument in enumerate(self.arguments):
            if isinstance(argument, Ref):
                given.append(values[argument.name])
            else:
                given.append(weights[place] if isinstance(argument, Weight) else argument)
        return self.operation(self.node, given)

    @property
    def sources(self) -> list[str]:
        """The values it needs of earlier steps."""
        return [argument.name for argument in self.arguments if isinstance(argument, Ref)]


class Plan:
    """The steps so far, and what is known of every value of the file."""

    def __init__(
        self, path: Path, constants: Mapping[str, Weight], batch: int | None, shape: tuple[int, int, int], sure: bool
    ) -> None:
        """`batch` is the number of images that the file is made for, `shape` that of an image, `sure` if it says so."""
        self.path, self.batch, self.sure = path, batch, sure
        self.constants = dict(constants)
        self.steps: list[Step] = []
        self.located: dict[str, Located] = {}
        self.trials: dict[str, tuple[Value, Value]] = {}
        self._turned: dict[Located, str] = {}
        self._room = SPARE_CONSTANTS + 8 * sum(weight.tensor.numel() for weight in constants.values())
        self._finite: set[tuple[int, int, int]] = set()
        two, three = (torch.empty(count, *shape, device="meta") for count in BATCHES)
        self.trials[IMAGES] = two, three

    def add(self, node: Node) -> None:
        """Take a node into the plan.

        Raises:
            ModelError: if it cannot be run: the sentence names it.
        """
        operation = OPERATIONS.get(node.operation)
        if operation is None:
            raise ModelError(_unknown(self.path, node))
        try:
            self._add(node, operation)
        except ModelError:
            raise
        except Exception as error:  # a foreign graph can ask anything of PyTorch
            raise ModelError(
                f"{self.path}: {node.label} cannot be run: {_reason(error)}; export the network anew or get another file"
            ) from None

    def in_order(self, name: str) -> str:
        """The name of a value of the file with its axes in the file's order."""
        return self._in_order(self.located[name])

    def _add(self, node: Node, operation: Operation) -> None:
        given = [self._given(name) for name in node.inputs]
        if not any(isinstance(value, Located) for value in given):
            self._fold(node, operation, given)
        elif not self._only_renamed(node, given):
            order = self._common_order(node, operation, given)
            node = _with_axis_in(node, order)
            arguments = [self._found(value, order) for value in given]
            node, arguments = self._freed(node, arguments)
            step = Step(node, operation, self._by_role(operation, arguments), node.outputs)
            self._append(step, order)

    def _given(self, name: str) -> Located | Weight | None:
        if not name:
            return None
        return self.constants[name] if name in self.constants else self.located[name]

    def _only_renamed(self, node: Node, given: Sequence[Located | Weight | None]) -> bool:
        """Whether the node changes no number, but at most the order of the axes: then there is nothing to run."""
        first = given[0] if given else None
        if not isinstance(first, Located):
            return False
        trial = self.trials[first.name][0]
        if node.operation == "Transpose" and isinstance(trial, Tensor) and trial.ndim == 4:
            new = tuple(node.integers("perm", [3, 2, 1, 0]))
            if sorted(new) != [0, 1, 2, 3]:
                raise ValueError(f"it turns the axes {new} of 4")
            before = first.order or (0, 1, 2, 3)
            order = tuple(before[axis] for axis in new)
            self.located[node.outputs[0]] = Located(first.name, None if order == (0, 1, 2, 3) else order)
            return True
        to_floats = node.operation == "Cast" and node.integer("to", 1) in _FLOATS
        floats = isinstance(trial, Tensor) and trial.is_floating_point()
        if node.operation in ("Identity", "Dropout") or (to_floats and floats):
            if any(node.outputs[1:]):
                raise ValueError("it should give more values than its operation does here")
            self.located[node.outputs[0]] = first
            return True
        return False

    def _common_order(self, node: Node, operation: Operation, given: Sequence[Located | Weight | None]) -> Order | None:
        """The order of axes in which all inputs are, where the operation does not mind it."""
        inputs = [value for value in given if isinstance(value, Located)]
        orders = {value.order for value in inputs}
        order = next(iter(orders))
        trials = [self.trials[value.name][0] for value in inputs]
        alike = all(isinstance(trial, Tensor) and trial.ndim == 4 for trial in trials)
        indifferent = operation.pointwise or node.operation == "Concat"
        return order if len(orders) == 1 and alike and indifferent else None

    def _found(self, value: Located | Weight | None, order: Order | None) -> Argument:
        if isinstance(value, Located):
            return Ref(value.name if value.order == order else self._in_order(value))
        if isinstance(value, Weight) and order is not None and value.tensor.ndim > 0:
            tensor = value.tensor.reshape((1,) * (4 - value.tensor.ndim) + tuple(value.tensor.shape))
            inverse = sorted(range(4), key=lambda axis: order[axis])
            return Weight(value.name, tensor.permute(inverse))
        return value

    def _in_order(self, value: Located) -> str:
        """The value with its axes turned as the file has them, by a step of its own where there is none yet."""
        if value.order is None:
            return value.name
        if value not in self._turned:
            name = f"{value.name} in the order {value.order}"
            node = Node("Transpose", "", (value.name,), (name,), {"perm": value.order}, 13)
            self._append(Step(node, OPERATIONS["Transpose"], (Ref(value.name),), (name,)), None)
            self._turned[value] = name
        return self._turned[value]

    def _freed(self, node: Node, arguments: list[Argument]) -> tuple[Node, list[Argument]]:
        """The node without the number of images that its exporter baked into it."""
        first = arguments[0] if arguments else None
        if not isinstance(first, Ref) or not isinstance(self.trials[first.name][0], Tensor):
            return node, arguments
        shapes = [tuple(trial.shape) for trial in self.trials[first.name]]
        target = arguments[1] if len(arguments) > 1 else None
        if node.operation == "Squeeze" and target is None and "axes" not in node.attributes:
            axes = [axis for axis, extent in enumerate(shapes[0]) if extent == 1]
            return replace(node, attributes={"axes": tuple(axes)}), arguments
        if node.operation in ("Reshape", "Expand") and isinstance(target, Weight):
            wanted = [int(extent) for extent in listed(self._numbers(target.tensor))]
            if node.operation == "Expand":
                return node, [first, as_numbers(free_expansion(shapes, wanted))]
            kept = bool(node.integer("allowzero", 0))
            return node, [first, as_numbers(free_shape(shapes, wanted, self.batch or 1, kept))]
        return node, arguments

    def _by_role(self, operation: Operation, arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        """Constants as numbers where only numbers will do, else as tensors."""
        trials = [self.trials[argument.name][0] for argument in arguments if isinstance(argument, Ref)]
        ranks = [trial.ndim for trial in trials if isinstance(trial, Tensor)]
        free = [value for place, value in enumerate(arguments) if place not in operation.known]
        on_tensors = any(isinstance(value, Ref) and isinstance(self.trials[value.name][0], Tensor) for value in free)
        numbers_only = operation.on_numbers is not None and not on_tensors and any(isinstance(v, Ref) for v in free)
        found: list[Argument] = []
        for place, argument in enumerate(arguments):
            if not isinstance(argument, Weight):
                found.append(argument)
            elif place in operation.known or numbers_only:
                found.append(self._numbers(argument.tensor))
            elif operation.pointwise and argument.tensor.numel() == 1 and argument.tensor.ndim <= max(ranks, default=0):
                found.append(as_numbers(argument.tensor.reshape(())))
            else:
                found.append(argument)
            self._check_finite(found[-1], argument)
        return tuple(found)

    def _check_finite(self, argument: Argument, source: Argument) -> None:
        """Weights must be finite; among single numbers infinity is a bound."""
        name = source.name if isinstance(source, Weight) else ""
        if isinstance(argument, Weight):
            tensor = argument.tensor
            memory = (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tensor.numel())
            usable = memory in self._finite or bool(tensor.isfinite().all())
            self._finite.add(memory)
        else:
            numbers = argument.flat if isinstance(argument, np.ndarray) else ()
            usable = not any(isinstance(number, float) and math.isnan(number) for number in numbers)
        if not usable:
            raise ModelError(
                f"the weights {name[:80]!r} in {self.path} are not finite; train the network again or get another file"
            )

    def _append(self, step: Step, order: Order | None) -> None:
        """Try a step; what it gives is a constant where it does not depend on the images."""
        if len(self.steps) == MAX_STEPS:
            raise ValueError(f"it is one more than the {MAX_STEPS} steps of any network")
        two, three = self._tried(step)
        if any(step.outputs[len(two) :]):
            raise ValueError("it should give more values than its operation does here")
        folded = all(isinstance(value, np.ndarray) for value in two) and self.sure and _equal(two, three)
        for name, first, second in zip(step.outputs, two, three, strict=False):
            self._check_extent(first, BATCHES[0])
            if folded and isinstance(first, np.ndarray):
                self.constants[name] = Weight(name, as_tensor(first))
            else:
                self.located[name], self.trials[name] = Located(name, order), (first, second)
        if not folded:
            self.steps.append(step)

    def _tried(self, step: Step) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """What the step gives for two images and for three, without memory."""
        if self._keeps_shape(step):
            return (self.trials[step.sources[0]][0],), (self.trials[step.sources[0]][1],)
        weights = {
            place: torch.empty_like(argument.tensor, device="meta")
            for place, argument in enumerate(step.arguments)
            if isinstance(argument, Weight)
        }
        with torch.device("meta"):
            two, three = (
                step.run({name: self.trials[name][which] for name in step.sources}, weights) for which in (0, 1)
            )
        return two, three

    def _keeps_shape(self, step: Step) -> bool:
        """Whether the step makes a float of every float, and so needs no trial but of a single one: many times as fast."""
        numbers = [argument.size for argument in step.arguments if isinstance(argument, np.ndarray)]
        weights = any(isinstance(argument, Weight) for argument in step.arguments)
        value = self.trials[step.sources[0]][0] if len(step.sources) == 1 else None
        floats = isinstance(value, Tensor) and value.dtype == torch.float32
        if not step.operation.pointwise or weights or not floats or any(size != 1 for size in numbers):
            return False
        (single,) = step.run({step.sources[0]: torch.zeros(())}, {})
        return isinstance(single, Tensor) and single.dtype == torch.float32

    def _check_extent(self, value: Value, images: int) -> None:
        elements, most = (
            (value.numel() // images, MAX_VALUE) if isinstance(value, Tensor) else (value.size, MAX_RESULTS)
        )
        if elements > most:
            raise ValueError(f"its result has {elements} elements for one image, more than any network needs")
        if isinstance(value, np.ndarray) and any(
            isinstance(number, int) and abs(number) >= 2**63 for number in value.flat
        ):
            raise ValueError("it computes larger numbers than there are in 64 bits")

    def _numbers(self, tensor: Tensor) -> Numbers:
        """A constant as numbers."""
        self._spend(NUMBER * tensor.numel())
        return as_numbers(tensor)

    def _spend(self, elements: int) -> None:
        """Keep account of what is computed before an image is seen: however small its parts, it must come to an end."""
        self._room -= elements
        if self._room < 0:
            raise ValueError("what is computed of constants takes more than any network needs")

    def _fold(self, node: Node, operation: Operation, given: Sequence[Located | Weight | None]) -> None:
        """Compute what depends on constants alone, once its extent is known to be small."""
        if not operation.foldable:
            raise ValueError("it works on constants only, not on images")
        tensors = [value.tensor if isinstance(value, Weight) else None for value in given]
        known = [
            self._numbers(tensor) if tensor is not None and place in operation.known else None
            for place, tensor in enumerate(tensors)
        ]
        with torch.device("meta"):
            shapes = [torch.empty_like(tensor, device="meta") if tensor is not None else None for tensor in tensors]
            tried = operation(node, [n if n is not None else s for n, s in zip(known, shapes, strict=True)])
        for value in (*tensors, *tried):
            self._spend(0 if value is None else value.numel() if isinstance(value, Tensor) else value.size)
        results = operation(node, [n if n is not None else t for n, t in zip(known, tensors, strict=True)])
        origin = next((value.name for value in given if isinstance(value, Weight)), None)
        for name, result in zip(node.outputs, results, strict=False):
            tensor = result if isinstance(result, Tensor) else as_tensor(result)
            self.constants[name] = Weight(origin or name, tensor)


_FLOATS = {1, 10, 11, 16}


def _reason(error: Exception) -> str:
    if isinstance(error, TypeError) and "positional argument" in str(error):
        return "it has too few inputs, or too many"
    lines = (line.strip().rstrip(".") for line in str(error).splitlines())
    return next((line[:200] for line in lines if line), type(error).__name__)


def _unknown(path: Path, node: Node) -> str:
    named = node.label
    if node.operation in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear") or "Integer" in node.operation:
        return f"{path} is quantised ({named}); export the network with 32-bit floats"
    if node.operation in ("ArgMax", "ArgMin", "TopK", "Hardmax"):
        return f"{path} gives classes, not logits ({named}); export the network without its last step"
    if node.operation in ("If", "Loop", "Scan"):
        return f"in {path} what runs depends on the images ({named}); export the network without control flow"
    return (
        f"{path} uses an operation that is not supported: {named}; known are the {len(OPERATIONS)} that convolutional "
        "classifiers are made of, so export the network with these"
    )


def _with_axis_in(node: Node, order: Order | None) -> Node:
    """The node for inputs whose axes are in another order."""
    if order is None or node.operation != "Concat":
        return node
    axis = node.integer("axis", 1)
    if not -4 <= axis < 4:
        raise ValueError(f"it names the axis {axis} of 4")
    return replace(node, attributes={**node.attributes, "axis": order[axis]})


def _equal(first: Sequence[Value], second: Sequence[Value]) -> bool:
    return all(
        isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape
        and bool(np.all(one == other))
        for one, other in zip(first, second, strict=True)
    )  # fmt: skip
