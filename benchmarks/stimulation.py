"""Stimulated evaluations: only the suffix is run, against the whole network with the activation edited, and the bare suffix.

An evaluation is one image under one stimulation.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.timing import Ratio, paired
from trojancam.architectures import architecture
from trojancam.network.network import Network
from trojancam.network.replay import replay
from trojancam.stimulation import Stimulation, stimulated_logits

ARCHITECTURE = "trojan1"
IMAGES = 16
VARIANTS = 32  # against the whole network
SEARCHED = (
    2**28
)  # bytes of values after the cut that a search fills at each layer, so that what it costs once weighs alike


def rows() -> Iterator[tuple[str, float, Ratio, Ratio]]:
    """Layer, evaluations a second, and the times of the whole network and of the bare suffix over ours: more is better."""
    chosen = architecture(ARCHITECTURE)
    module = chosen.build(43).eval().to(memory_format=torch.channels_last).requires_grad_(False)
    network = Network.from_module(module, specification=chosen.input)
    images = torch.rand(IMAGES, 3, *chosen.input.size)
    for layer in network.layers:
        few = list(_windows(network, layer, VARIANTS))
        many = list(_windows(network, layer, SEARCHED // network.cut(layer).footprint.kept // IMAGES))
        whole = paired(_whole(module, network, images, few), partial(stimulated_logits, network, images, few), pairs=5)
        suffix = paired(_suffix(network, images, many), partial(stimulated_logits, network, images, many))
        yield layer, IMAGES * len(many) / suffix.other, whole, suffix


def _windows(network: Network, layer: str, count: int) -> Iterator[Stimulation]:
    """As a search for a backdoor does it: a window of a single feature map, and the rest of the map set to zero."""
    (height, width), maps = network.layers[layer].size, network.layers[layer].feature_maps
    for number in range(count):
        window = (number % (height - 1), number // 2 % (width - 1), 2, 2)
        yield Stimulation(layer, number % maps, value=2.0, window=window, rest="zero", unit="map")


def _whole(module: nn.Module, network: Network, images: Tensor, variants: list[Stimulation]) -> Callable[[], None]:
    """The module with a hook that edits the layer's activations: all of it is run for every variant."""
    inputs = network.input.normalise(images)
    part = module.get_submodule(variants[0].layer.replace("conv2d", "relu"))

    def run() -> None:
        for variant in variants:
            handle = part.register_forward_hook(partial(_edited, variant))
            module(inputs)
            handle.remove()

    return run


def _edited(variant: Stimulation, _part: nn.Module, _inputs: object, activations: Tensor) -> None:
    (row, column, height, width), index = variant.window or (0, 0, 0, 0), variant.maps(0)[0]
    peak = float(activations[:, index].amax())
    activations[:, index] = 0
    activations[:, index, row : row + height, column : column + width] = 2 * peak


def _suffix(network: Network, images: Tensor, variants: list[Stimulation]) -> Callable[[], None]:
    """The same number of rows through the part after the layer, as many at a time as ours, without any edit."""
    clean, total = replay(network, variants[0].layer, images), IMAGES * len(variants)
    activations = clean.copies(clean.variants_at_once()).activations.flatten(0, 1)
    at_once = len(activations)

    def run() -> None:
        with torch.no_grad():
            for start in range(0, total, at_once):
                clean.cut.after(activations[: total - start])

    return run
