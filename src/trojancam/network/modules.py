"""Modules: what is done to one is undone; what wraps one is taken off; what one takes, and which ones cannot be used."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trojancam.errors import ModelError

WRAPPERS = (nn.DataParallel, DistributedDataParallel)
COMPILED = "OptimizedModule"  # what torch.compile makes; the class lies in a part of torch that is slow to import
QUANTISED = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torch.nn.quantized",
)  # where these modules lie


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
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "this module is TorchScript, traced or scripted, which holds no parts to look at; give the module it was made from, "
            "or export it to ONNX"
        )
    if any(type(part).__module__.startswith(QUANTISED) for part in module.modules()):
        raise ModelError("this module is quantised, and has no gradients; give the module before it was quantised")
    if len(wanted := _inputs(module)) > 1:
        raise ModelError(
            f"forward() of this module takes {len(wanted)} inputs ({', '.join(wanted)[:80]}), but images alone are given; wrap "
            "it in a module that takes images, and sets the others"
        )
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is not None and first.in_channels not in (1, 3) and _is_first_used(module, first):
        raise ModelError(
            f"the first convolution of this module takes {first.in_channels} channels, but images have {channels}; wrap the "
            "module in one that makes these channels of an image"
        )


def _inputs(module: nn.Module) -> list[str]:
    """The names of what `forward` must be given."""
    parameters = inspect.signature(module.forward).parameters.values()
    fixed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in parameters if each.kind in fixed and each.default is each.empty]


def _is_first_used(module: nn.Module, convolution: nn.Conv2d) -> bool:
    """Whether nothing stands before it that could make its channels: it is the first part that holds no others."""
    return next((part for part in module.modules() if not any(part.children())), None) is convolution
