"""A module of our own that takes the steps of a plan: one submodule for each layer, named as its author named it."""

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from trojancam.formats.onnx.names import layer_names
from trojancam.formats.onnx.node import Value
from trojancam.formats.onnx.plan import IMAGES, Step, Weight


class Layer(nn.Module):
    """One step with its weights."""

    def __init__(self, step: Step, shared: dict[int, nn.Parameter]) -> None:
        super().__init__()
        self._step = step
        self._weights: dict[int, str] = {}
        for place, argument in enumerate(step.arguments):
            if isinstance(argument, Weight):
                self._weights[place] = self._held(place, argument.tensor, shared)

    def forward(self, *values: Value) -> tuple[Value, ...]:
        """What the step gives for the values it needs, in their order."""
        named = dict(zip(self._step.sources, values, strict=True))
        return self._step.run(named, {place: getattr(self, name) for place, name in self._weights.items()})

    def _held(self, place: int, tensor: Tensor, shared: dict[int, nn.Parameter]) -> str:
        """Register a tensor, and say under which name: what training sets is a parameter, shared where the file shares it."""
        operation = self._step.operation
        if place in operation.weights and tensor.is_floating_point():
            parameter = shared.setdefault(id(tensor), nn.Parameter(tensor))
            self.register_parameter(operation.weights[place], parameter)
            return operation.weights[place]
        name = operation.statistics.get(place, f"constant_{place}")
        self.register_buffer(name, tensor)
        return name


class Graph(nn.Module):
    """A network read from an ONNX file: `n channels h w` to `n classes`."""

    def __init__(self, steps: Sequence[Step], output: str) -> None:
        super().__init__()
        self._output = output
        self._steps: list[tuple[Step, Layer | None]] = []
        layers = [step for step in steps if any(isinstance(argument, Weight) for argument in step.arguments)]
        names = dict(zip(map(id, layers), layer_names([_names(step) for step in layers]), strict=True))
        shared: dict[int, nn.Parameter] = {}
        for step in steps:
            self._steps.append((step, Layer(step, shared) if id(step) in names else None))
        named = [(names[id(step)], layer) for step, layer in self._steps if layer is not None]
        for name, layer in sorted(named, key=lambda pair: pair[0].count(".")):  # what holds others comes first
            _put(self, name, layer)

    def forward(self, images: Tensor) -> Any:
        """The logits."""
        values: dict[str, Value] = {IMAGES: images}
        for step, layer in self._steps:
            needed = [values[name] for name in step.sources]
            results = layer(*needed) if layer is not None else step.run(values, {})
            values.update(zip(step.outputs, results, strict=False))
        return values[self._output]


def _names(step: Step) -> tuple[str, str, str]:
    """What names a layer: its operation, its node, and its first constant."""
    weights = [argument.name for argument in step.arguments if isinstance(argument, Weight)]
    return step.node.operation, step.node.name, weights[0]


def _put(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Register a layer under a dotted path; where a name is taken by something else, under a similar one."""
    *parents, last = path.split(".")
    module = root
    for part in parents:
        name = _free(module, part, among_modules=True)
        if name not in module._modules:
            module.add_module(name, nn.Module())
        module = module.get_submodule(name)
    module.add_module(_free(module, last, among_modules=False), layer)


def _free(module: nn.Module, name: str, among_modules: bool) -> str:
    while hasattr(module, name) and not (among_modules and name in module._modules):
        number = re.fullmatch(r"(.*)_(\d+)", name)
        name = f"{number[1]}_{int(number[2]) + 1}" if number else f"{name}_2"
    return name
