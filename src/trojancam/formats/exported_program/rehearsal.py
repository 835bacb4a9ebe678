"""Rehearsal: an exported program is run on tensors without numbers first, to see what it would take and give."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from trojancam.errors import ModelError
from trojancam.formats.exported_program.arguments import LARGEST_NUMBER, Value
from trojancam.formats.exported_program.module import COUNT, replay
from trojancam.formats.exported_program.steps import Program, Step
from trojancam.network.exporting import torch_quiet
from trojancam.network.stepwise import Operation

aten = torch.ops.aten
IMAGES = 3  # that it is rehearsed with: not 1, which fits anything, nor 2, which programs are exported with
LARGEST_VALUE = 1 << 27  # numbers that a step may give for one image: half a gigabyte
RESHAPES = {aten.view.default, aten._unsafe_view.default, aten.reshape.default}
ANY_NUMBER = "export it with dynamic_shapes=({0: Dim('n')},)"
NORMALISATIONS = ("weight", "bias", "running_mean", "running_var")


def for_any_number(program: Program) -> Program:
    """A program that was exported with one number of images, for any: where it says that number it asks for it.

    That is in the reshapes of what comes from the images, and where something is repeated for each image.
    """
    if not program.fixed[0]:
        return program
    batch, from_images = program.sizes[0], {program.images}
    steps = []
    for step in program.steps:
        if from_images & _named(step):
            from_images |= {step.results} if isinstance(step.results, str) else {name for name in step.results if name}
        steps.append(_asking(step, batch, from_images, program.firsts))
    return replace(program, steps=tuple(steps))


def _asking(step: Step, batch: int | None, from_images: set[str], firsts: Mapping[str, int]) -> Step:
    """The step, asking for the number of images where it names it."""
    match step.arguments:
        case (Value(source), [int(first), *others]) if first == batch:
            reshapes = step.function in RESHAPES and source in from_images and firsts.get(source) == batch
            repeats = step.function is aten.expand.default and batch != 1 and firsts.get(source) in (1, batch)
            if reshapes or repeats:
                return replace(step, arguments=(Value(source), [Value(COUNT), *others]))
    return step


def _named(step: Step) -> set[str]:
    """The names of the values that a step works on."""
    found: set[str] = set()
    waiting: list[Any] = [step.arguments, step.named]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Value):
            found.add(item.name)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
    return found


def rehearse(
    path: Path, program: Program, sizes: tuple[int, int, int], tensors: Mapping[str, Tensor]
) -> list[tuple[int, ...]]:
    """Run a program without numbers on three images of these sizes: the shapes of what it returns.

    Raises:
        ModelError: if it does not run, or for one number of images only; if a step would give far more than a classifier
            holds; or if it changes its weights.
    """
    with torch_quiet(), FakeTensorMode() as mode, torch.no_grad():  # PyTorch logs the traceback of what does not fit
        fakes = {name: mode.from_tensor(tensor) for name, tensor in tensors.items()}
        before = {name: fake._version for name, fake in fakes.items()}
        images = torch.empty(IMAGES, *sizes)
        try:
            weights = {name: fakes[tensor] for name, tensor in program.weights.items()}
            outputs = replay(program, images, weights, _watched)
        except ModelError:
            raise
        except _TooLargeError as error:
            raise ModelError(
                f"the program in {path} asks for {error}, more than a classifier needs; do not run it"
            ) from None
        except Exception as error:  # a damaged graph can make any operation raise anything
            raise ModelError(_why(path, program, error)) from None
    if any(fake._version != before[name] for name, fake in fakes.items()):
        raise ModelError(f"the program in {path} changes its weights as it runs; export the module after module.eval()")
    return [tuple(output.shape) if isinstance(output, Tensor) else () for output in outputs]


def check_rows(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse an output that is not one row for each of the images that the program was rehearsed with.

    Raises:
        ModelError: if it is none.
    """
    if shape[:1] != (IMAGES,):
        raise ModelError(f"the program in {path} does not give a row of logits for each image; {ANY_NUMBER}")


class _TooLargeError(Exception):
    """A step would give more than it may."""


def _watched(operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any], _: str) -> Any:
    given = operation(*arguments, **named)
    for item in given if isinstance(given, list | tuple) else [given]:
        if isinstance(item, Tensor) and item.numel() > LARGEST_VALUE * IMAGES:
            raise _TooLargeError(f"a tensor of shape {tuple(item.shape)}")
        if isinstance(item, int) and abs(item) > LARGEST_NUMBER:
            raise _TooLargeError(f"a size of more than {LARGEST_NUMBER}")
    _check_normalisation(operation, arguments, named)
    return given


def _check_normalisation(operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Statistics of a normalisation are one for each map: not every version of PyTorch looks before it reads them."""
    schema = getattr(operation, "_schema", None)
    if schema is None or "batch_norm" not in schema.name:
        return
    given = dict(zip((argument.name for argument in schema.arguments), arguments, strict=False)) | named
    maps = given["input"].shape[1]
    for name in NORMALISATIONS:
        if given.get(name) is not None and tuple(given[name].shape) != (maps,):
            raise ValueError(f"{name} of a normalisation of {maps} maps has the shape {tuple(given[name].shape)}")


def _why(path: Path, program: Program, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
    reason = reason.rstrip(".")
    if program.fixed[0]:
        return f"the program in {path} takes batches of {program.sizes[0]} and no others ({reason}); {ANY_NUMBER}"
    return f"the program in {path} cannot be run ({reason}); export the module again"
