"""Replayed: a module that does what an exported program says, step by step, with its weights where their author had them."""

import keyword
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trojancam.formats.exported_program.arguments import filled
from trojancam.formats.exported_program.steps import Program, Step

COUNT = "how many images"  # the value that stands for it; no value of a program is called so

Run = Callable[[Step, tuple[Any, ...], dict[str, Any]], Any]


class Place(nn.Module):
    """Where a module of the author's was: it holds that one's weights, and runs what that one ran."""

    def forward(self, step: Step, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the step gives; the exporter notes the name of this module beside it."""
        return step.function(*arguments, **named)


class Replayed(nn.Module):
    """The steps of a program over its weights: images to all that the program returns.

    With `channels_last` the program wants its images `n h w channels`; the module takes them as all others do.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Tensor], channels_last: bool = False) -> None:
        """Raises KeyError if a name of the weights is one that modules need themselves."""
        super().__init__()
        self.program = program
        self.channels_last = channels_last
        parameters: dict[Tensor, nn.Parameter] = {}
        for name, tensor in tensors.items():
            owner, _, own = _speakable(name).rpartition(".")
            if name in program.trained:
                parameters.setdefault(tensor, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
                self._place(owner).register_parameter(own, parameters[tensor])
            else:
                self._place(owner).register_buffer(own, tensor)
        self._runs_in = {step.module: self._has_place(step.module) for step in program.steps}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the program returns for these images."""
        tensors = {name: _found(self, name) for name in self.program.weights.values()}
        return replay(self.program, images.permute(0, 2, 3, 1) if self.channels_last else images, tensors, self._run)

    def _run(self, step: Step, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if step.module and self._runs_in[step.module]:
            return self.get_submodule(_speakable(step.module))(step, arguments, named)
        return step.function(*arguments, **named)

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


def replay(program: Program, images: Tensor, tensors: Mapping[str, Tensor], run: Run) -> tuple[Tensor, ...]:
    """What a program returns for these images and weights, if each of its steps is run by `run`."""
    values: dict[str, Any] = {name: tensors[tensor] for name, tensor in program.weights.items()}
    values |= program.constants
    values[program.images] = images
    values[COUNT] = torch.ops.aten.sym_size.int(images, 0)
    for step in program.steps:
        given = run(step, filled(step.arguments, values), filled(step.named, values))
        if isinstance(step.results, str):
            values[step.results] = given
        elif step.results:
            values.update({name: item for name, item in zip(step.results, given, strict=True) if name})
    return tuple(values[name] for name in program.outputs)


def _speakable(path: str) -> str:
    """A dotted name that graphs can write into their code: words that Python keeps for itself get an underscore."""
    return ".".join(f"{part}_" if keyword.iskeyword(part) else part for part in path.split("."))


def _found(module: nn.Module, name: str) -> Tensor:
    owner, _, own = _speakable(name).rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), own)
    return tensor
