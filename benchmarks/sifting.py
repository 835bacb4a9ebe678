"""Sifting: what an image costs with our own defence and with STRIP, against bare runs of the network."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.timing import Ratio, paired
from trojancam.architectures import architecture
from trojancam.defences import learned
from trojancam.defences.strip import OVERLAYS
from trojancam.network.network import Network

IMAGES, FEW = 128, 16  # to sift by contributions, and by STRIP
CLEAN = 400  # to learn from
NETWORKS = ("basic", "trojan2")


def rows() -> Iterator[tuple[str, Ratio]]:
    """Each network with each defence: ours over the bare runs that the bound allows it."""
    for name in NETWORKS:
        yield from _rows(name)


def _rows(name: str) -> Iterator[tuple[str, Ratio]]:
    torch.manual_seed(0)
    module = architecture(name).build(43).eval().to(memory_format=torch.channels_last).requires_grad_(False)
    network = Network.from_module(module, specification=architecture(name).input)
    clean, images = (torch.rand(count, 3, *network.input.size) for count in (CLEAN, IMAGES))
    inputs = network.inputs(images)
    sieve = learned(network, clean, ["contributions"])
    yield f"{name}: contributions", paired(lambda: sieve(images), lambda: allowed(module, inputs))
    strip = learned(network, clean, ["strip"])
    portions = network.inputs(torch.rand(FEW * (1 + OVERLAYS), 3, *network.input.size)).split(OVERLAYS)
    yield f"{name}: STRIP", paired(lambda: strip(images[:FEW]), lambda: bare(module, portions), 7)


def allowed(module: nn.Module, inputs: Tensor) -> None:
    """Three forward runs and one backward run, to the input."""
    with torch.no_grad():
        module(inputs)
        module(inputs)
    inputs = inputs.detach().requires_grad_()
    torch.autograd.grad(module(inputs).amax(1).sum(), inputs)


def bare(module: nn.Module, portions: tuple[Tensor, ...]) -> None:
    """The forward runs that STRIP needs: of each image and of its overlays."""
    with torch.no_grad():
        for portion in portions:
            module(portion)
