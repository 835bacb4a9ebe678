"""Catalogue: the architectures that can be built by name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from trojancam.architectures import pooled, study_networks
from trojancam.errors import DataError, Remedy, TrojanCamError
from trojancam.network.input import InputSpecification
from trojancam.registry import Registry


@dataclass(frozen=True)
class Architecture:
    """A network that can be built by name: its builder takes the number of classes.

    Its images have the size of its `input`; with `any_size`, what is built takes those of other sizes, too,
    of `smallest` pixels a side or more.
    """

    build: Callable[[int], nn.Module]
    input: InputSpecification
    summary: str
    any_size: bool = False
    smallest: int = 1

    def check_size(self, name: str, size: tuple[int, int]) -> None:
        """Refuse images of a height and width that this network, of this name, does not take.

        Raises:
            DataError: if it is so.
        """
        if size != self.input.size and not self.any_size:
            able = ", ".join(each for each, known in ARCHITECTURES.items() if known.any_size)
            height, width = self.input.size
            raise DataError(
                f"the network {name} takes images of {height}x{width} pixels alone (of any size: {able})",
                Remedy.NO_SIZE,
            )
        if min(size) < self.smallest:
            raise DataError(
                f"the network {name} takes images of {self.smallest} pixels a side or more, not "
                f"{size[0]}x{size[1]}; choose larger ones"
            )


_THIRTY_TWO = InputSpecification(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

_OWN = {
    "basic": Architecture(study_networks.basic, _THIRTY_TWO, "the study's benign network, with batch normalisation"),
    "trojan1": Architecture(
        study_networks.trojan1, _THIRTY_TWO, "five 5x5 convolutions; the study's clear yellow square"
    ),
    "trojan2": Architecture(
        study_networks.trojan2, _THIRTY_TWO, "AlexNet-style; the study's transparent blue-green square"
    ),
    "vgg": Architecture(
        pooled.vgg, _THIRTY_TWO, "VGG-style, with batch normalisation and global pooling", any_size=True, smallest=8
    ),
    "resnet": Architecture(
        pooled.resnet, _THIRTY_TWO, "residual, with batch normalisation and global pooling", any_size=True
    ),
}


def as_architecture(name: str, given: object) -> Architecture:
    """The architecture that a package or a script registers.

    Raises:
        TrojanCamError: if it is none.
    """
    if not isinstance(given, Architecture):
        raise TrojanCamError(f"the architecture {name!r} must be an Architecture, but is {given!r}")
    return given


ARCHITECTURES = Registry("architecture", "trojancam.architectures", as_architecture, _OWN)
"""The networks that can be built by name; packages add theirs as entry points of the group `trojancam.architectures`."""


def architecture(name: str) -> Architecture:
    """The architecture of this name.

    Raises:
        UnknownNameError: if there is none.
    """
    return ARCHITECTURES.named(name)


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """How many numbers training sets, and how many there are with batch normalisation's running statistics (as Keras counts).

    >>> count_parameters(nn.BatchNorm2d(8))
    (16, 32)
    """
    trainable = sum(parameter.numel() for parameter in module.parameters())
    statistics = sum(buffer.numel() for buffer in module.buffers() if buffer.is_floating_point())
    return trainable, trainable + statistics
