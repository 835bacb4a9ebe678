"""Replayed: a module that does what an exported program says, step by step, with its weights where their author had them."""

import keyword
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trojancam.formats.exported_program.arguments import filled
from trojancam.formats.exported_program.steps import Program
from trojancam.network.stepwise import Operation, Run, Stepwise

aten = torch.ops.aten

COUNT = "how many images"  # the value that stands for it; no value of a program is called so


class Place(nn.Module):
    """Where a module of the author's was: it holds that one's weights, and runs what that one ran."""

    def forward(self, operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the operation gives; the exporter notes the name of this module beside it."""
        return operation(*arguments, **named)


class Replayed(Stepwise):
    """The steps of a program over its weights: images to all that the program returns.

    With `channels_last` the program wants its images `n h w channels`; the module takes them as all others do.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Tensor], channels_last: bool = False) -> None:
        """Raises KeyError if a name of the weights is one that modules need themselves."""
        super().__init__()
        self._program = program
        self._channels_last = channels_last
        self._places: dict[str, str] = {}  # now, so that no weight gets this name
        parameters: dict[Tensor, nn.Parameter] = {}
        for name, tensor in tensors.items():
            owner, _, own = _speakable(name).rpartition(".")
            if name in program.trained:
                parameters.setdefault(tensor, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
                self._place(owner).register_parameter(own, parameters[tensor])
            else:
                self._place(owner).register_buffer(own, tensor)
        modules = {step.module for step in program.steps if step.module}
        self._places |= {module: _speakable(module) for module in modules if self._has_place(module)}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the program returns for these images."""
        return self._by_steps(images, lambda name: _found(self, name), self._run)

    def _by_steps(self, images: Any, weight: Callable[[str], Any], run: Run) -> tuple[Any, ...]:
        """What the program returns, if `run` runs each of its steps, in the module that has the place of its author's."""

        def placed(operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any], module: str) -> Any:
            return run(operation, arguments, named, self._places.get(module, ""))

        weights = {name: weight(_speakable(tensor)) for name, tensor in self._program.weights.items()}
        first = run(aten.permute.default, (images, [0, 2, 3, 1]), {}, "") if self._channels_last else images
        return replay(self._program, first, weights, placed)

    def _run(self, operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any], module: str) -> Any:
        return self.get_submodule(module)(operation, arguments, named) if module else operation(*arguments, **named)

    def _place(self, path: str) -> nn.Module:
        """The module of this name, made if need be."""
        place: nn.Module = self
        for part in path.split(".") if path else ():
            if part not in place._modules:
                place.add_module(part, Place())
            place = place.get_submodule(part)
        return place

    def _has_place(self, path: str) -> bool:
        try:
            return isinstance(self._place(_speakable(path)), Place)
        except KeyError:  # a step in a module whose name is taken
            return False


def replay(program: Program, images: Any, weights: Mapping[str, Any], run: Run) -> tuple[Any, ...]:
    """What a program returns for these images and weights by the names of their values, if `run` runs each of its steps."""
    values: dict[str, Any] = {**weights, **program.constants, program.images: images}
    values[COUNT] = run(aten.sym_size.int, (images, 0), {}, "")
    for step in program.steps:
        given = run(step.function, filled(step.arguments, values), filled(step.named, values), step.module)
        if isinstance(step.results, str):
            values[step.results] = given
        elif step.results:
            values.update({name: item for name, item in zip(step.results, given, strict=True) if name})
    return tuple(values[name] for name in program.outputs)


def _speakable(path: str) -> str:
    """A dotted name that graphs can write into their code: words that Python keeps for itself get an underscore."""
    return ".".join(f"{part}_" if keyword.iskeyword(part) else part for part in path.split("."))


def _found(module: nn.Module, name: str) -> Tensor:
    owner, _, own = name.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), own)
    return tensor
