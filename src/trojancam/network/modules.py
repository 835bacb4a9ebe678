"""Modules: what is done to one is undone; what wraps one is taken off; what one takes, and which ones cannot be used."""

import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn.parallel import DistributedDataParallel

from trojancam.errors import ModelError

WRAPPERS = (nn.DataParallel, DistributedDataParallel)
COMPILED = "OptimizedModule"  # what torch.compile makes; the class lies in a part of torch that is slow to import
QUANTISED = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torch.nn.quantized",
)  # where these modules lie


def check_module(given: object) -> None:
    """Refuse what is no module: its class, its weights alone, or what was made of it already.

    Raises:
        ModelError: if it is none.
    """
    if isinstance(given, nn.Module):
        return
    if isinstance(given, type):
        what, how = f"the class {given.__name__}", f"make one of it: {given.__name__}()"
    elif isinstance(given, Mapping):
        what, how = (
            "a dictionary, such as a state dict",
            "load it into its module first: module.load_state_dict(weights)",
        )
    elif isinstance(given, str) or hasattr(given, "__fspath__"):
        what, how = "a path", "open the file with trojancam.load(path)"
    elif isinstance(given, ExportedProgram):
        what, how = (
            "an exported program",
            "give program.module(), or save it and open the file with trojancam.load(path)",
        )
    elif type(given).__name__ == "Network":
        what, how = "a Network already", "use it as it is"
    else:
        what, how = f"a {type(given).__name__}", "give an nn.Module that maps images to logits"
    raise ModelError(f"a network is made of a module of PyTorch, and this is {what}; {how}")


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; each part's own mode is restored, even after an error."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside of what only spreads it over devices or compiles it.

    >>> unwrapped(nn.DataParallel(nn.Conv2d(3, 4, 3)))
    Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
    """
    while isinstance(module, WRAPPERS) or type(module).__name__ == COMPILED:
        inside = getattr(module, "module" if isinstance(module, WRAPPERS) else "_orig_mod", None)
        if not isinstance(inside, nn.Module):
            return module
        module = inside
    return module


def channels_of(module: nn.Module) -> int:
    """How many channels of an image a module takes: those of its first convolution; 3, if that is not one of images.

    >>> channels_of(nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU()))
    1
    """
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def check_usable(module: nn.Module, channels: int) -> None:
    """Refuse a module of a kind that no graph is made of, and one that does not take images of so many channels.

    Raises:
        ModelError: if it is one; the sentence says what to give instead.
    """
    parts = dict(module.named_modules())
    if (script := _first(parts, lambda part: isinstance(part, torch.jit.ScriptModule))) is not None:
        raise ModelError(
            f"{script} is TorchScript, traced or scripted, which holds no parts to look at; give the module it was made from, "
            "or export it to ONNX"
        )
    if (quantised := _first(parts, lambda part: type(part).__module__.startswith(QUANTISED))) is not None:
        raise ModelError(f"{quantised} is quantised, and has no gradients; give the module before it was quantised")
    _check_inputs(module)
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is not None and first.in_channels not in (1, 3) and _is_first_used(module, first):
        raise ModelError(
            f"the first convolution of this module takes {first.in_channels} channels, but images have {channels}; wrap the "
            "module in one that makes these channels of an image"
        )


def _first(parts: Mapping[str, nn.Module], is_so: Callable[[nn.Module], bool]) -> str | None:
    """The first part that is so, in words: `this module`, or one of its parts by name."""
    name = next((name for name, part in parts.items() if is_so(part)), None)
    return None if name is None else f"the part {name:.80} of this module" if name else "this module"


@contextmanager
def uncompiled() -> Iterator[None]:
    """What is compiled, a module, its `forward` or a function that it calls, runs as it was written inside of the block."""
    if "torch._dynamo" not in sys.modules:  # which is slow to import: nothing is compiled without it
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def other_input(module: nn.Module) -> str | None:
    """What else than one tensor a module takes, in words: what its `forward` says or asks of it; None for nothing else.

    >>> class Named(nn.Module):
    ...     def forward(self, batch):
    ...         return batch["image"]
    >>> other_input(Named())
    "a dict of inputs ('image')"
    """
    said = next(iter(inspect.signature(module.forward).parameters.values()), None)
    kind = typing.get_origin(said.annotation) or said.annotation if said is not None else None
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "a dict of inputs"
    if isinstance(kind, type) and issubclass(kind, Sequence):
        return "a list of inputs"
    asked = _Asked()
    try:
        with uncompiled(), torch.no_grad():
            module.forward(asked)
    except Exception:  # it is no tensor
        return asked.kind
    return asked.kind


class _Asked:
    """Stands for a module's input, and keeps what is asked of it first, where a tensor would not be asked that."""

    kind: str | None = None

    def __getitem__(self, key: Any) -> Any:
        return self._stop(
            f"a dict of inputs ({key!r:.80})"
            if isinstance(key, str)
            else "a list of inputs"
            if type(key) is int
            else None
        )

    def __iter__(self) -> Any:
        return self._stop("a list of inputs")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in dir(dict):
            return self._stop("a dict of inputs")
        return self._stop(None if hasattr(torch.Tensor, name) else f"an object with inputs (.{name:.80})")

    def _stop(self, kind: str | None) -> Any:
        self.kind = kind
        raise LookupError("no input for this run")


def _check_inputs(module: nn.Module) -> None:
    """Refuse a module that wants more than images, or does not take them by their place."""
    parameters = inspect.signature(module.forward).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    wanted = [each.name for each in parameters if each.kind not in variable and each.default is each.empty]
    if len(wanted) > 1:
        raise ModelError(
            f"forward() of this module takes {len(wanted)} inputs ({', '.join(wanted)[:80]}), but images alone are given; wrap "
            "it in a module that takes images, and sets the others"
        )
    if all(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in parameters):
        raise ModelError(
            "forward() of this module takes its inputs by name alone, but images are given by their place; wrap it in a module "
            "that takes images, and hands them on by name"
        )


def _is_first_used(module: nn.Module, convolution: nn.Conv2d) -> bool:
    """Whether nothing stands before it that could make its channels: it is the first part that holds no others."""
    return next((part for part in module.modules() if not any(part.children())), None) is convolution
