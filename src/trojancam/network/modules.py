"""Modules: what is done to one is undone; what wraps one is taken off; how many channels one takes."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.parallel import DistributedDataParallel

WRAPPERS = (nn.DataParallel, DistributedDataParallel)
COMPILED = "OptimizedModule"  # what torch.compile makes; the class lies in a part of torch that is slow to import


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
