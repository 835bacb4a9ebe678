"""The nodes of an ONNX graph, the values that pass between them, and what it takes to be an operation.

A value is a tensor, or numbers that are known without looking at any pixel: extents, axes, bounds. Numbers are NumPy
arrays of Python objects, for the number of images among them is a symbol while a graph is made.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trojancam.formats.onnx.decoding import as_said

Numbers = NDArray[np.object_]
Value = Tensor | Numbers

MAX_NUMBERS = 2**16


@dataclass(frozen=True)
class Node:
    """A node: its operation, the names of what it takes and gives ("" where left out), its attributes."""

    operation: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    @property
    def label(self) -> str:
        """What to call it in a sentence."""
        name = self.name or next(filter(None, self.outputs), "")
        return f"the {as_said(self.operation)} node {name[:80]!r}"

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        return int(self._typed(name, int, default))

    def count(self, name: str, default: int) -> int:
        """A whole number from 1."""
        value = self.integer(name, default)
        if value < 1:
            raise ValueError(f"its attribute {name!r} must be at least 1, not {value}")
        return value

    def number(self, name: str, default: float) -> float:
        """A number."""
        return float(self._typed(name, float, default))

    def text(self, name: str, default: str) -> str:
        """A word."""
        return str(self._typed(name, str, default))

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of whole numbers."""
        values = self.attributes.get(name, default)
        if not isinstance(values, list | tuple) or not all(isinstance(value, int) for value in values):
            raise ValueError(f"it needs whole numbers as its attribute {name!r}")
        return list(values)

    def positive(self, name: str, count: int, default: int = 1) -> list[int]:
        """A list of `count` whole numbers from 1."""
        values = self.integers(name, [default] * count)
        if len(values) != count or min(values, default=1) < 1:
            raise ValueError(f"its attribute {name!r} must be {count} numbers from 1, not {values[:8]}")
        return values

    def _typed(self, name: str, kind: type, default: Any) -> Any:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise ValueError(f"its attribute {name!r} is of the wrong type")
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"its attribute {name!r} is not a number")
        return value


@dataclass(frozen=True)
class Operation:
    """How a node is run on tensors, and on numbers where it can be.

    `known` are the inputs that must be numbers. `weights` names the inputs that training sets, `statistics` those that
    it measures. A `pointwise` operation treats every element alike, whatever the order of the axes. What is not
    `foldable` may take long, and is not computed from constants.
    """

    run: Callable[..., Any]
    known: tuple[int, ...] = ()
    on_numbers: Callable[..., Numbers | tuple[Numbers, ...]] | None = None
    weights: Mapping[int, str] = field(default_factory=dict)
    statistics: Mapping[int, str] = field(default_factory=dict)
    pointwise: bool = False
    foldable: bool = True

    def __call__(self, node: Node, arguments: Sequence[Value | None]) -> tuple[Value, ...]:
        """What the node gives for these inputs."""
        free = [value for place, value in enumerate(arguments) if place not in self.known and value is not None]
        if self.on_numbers and free and all(isinstance(value, np.ndarray) for value in free):
            if sum(value.size for value in free if isinstance(value, np.ndarray)) > MAX_NUMBERS:
                raise ValueError("it computes more numbers than any network needs")
            result = self.on_numbers(node, *arguments)
        else:
            result = self.run(node, *(self._argument(place, value) for place, value in enumerate(arguments)))
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def _argument(self, place: int, value: Value | None) -> Any:
        if place in self.known and isinstance(value, Tensor):
            raise ValueError("what it does depends on the values of the images, which a graph cannot express")
        if place in self.known or not isinstance(value, np.ndarray):
            return value
        return value.item() if self.pointwise and value.size == 1 else as_tensor(value)


def as_numbers(values: Sequence[Any] | Tensor) -> Numbers:
    """Numbers from a list, in which there may be symbols, or from a tensor."""
    if isinstance(values, Tensor):
        if values.numel() > MAX_NUMBERS:
            raise ValueError(f"it needs {values.numel()} numbers to be known, more than any network")
        return np.array(values.tolist(), dtype=object).reshape(tuple(values.shape))
    numbers = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        numbers[place] = value
    return numbers


def as_tensor(numbers: Numbers) -> Tensor:
    """A tensor of numbers without symbols: whole numbers, truth values or floats."""
    if any(isinstance(value, torch.SymInt | torch.SymFloat) for value in numbers.flat):
        raise ValueError("it computes with the number of images")
    kind = next((type(value) for value in numbers.flat), float)
    return torch.tensor(numbers.tolist(), dtype={bool: torch.bool, int: torch.int64}.get(kind, torch.float32))


def listed(numbers: Numbers | None, default: Sequence[Any] = ()) -> list[Any]:
    """Numbers as a list, `default` where they are left out."""
    return list(default) if numbers is None else list(numbers.reshape(-1))
