"""Ablation: feature maps held at their clean mean, as weights that say so; the file keeps its form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.network.network import Network
from trojancam.network.replay import before

EXACT = 1e-4  # of the layer's largest activation: how far a held map may be from its mean


def held_at_mean(network: Network, layer: str, maps: Sequence[int], clean: Suspect) -> Network | None:
    """The network with feature maps of a layer constant, each at the mean of its activations on the clean images.

    The map's kernel becomes 0, and what is added after it the mean. Where that cannot hold the map, because a skip connection
    joins it or the activation does not pass the mean on, the result is None.

    Raises:
        UnknownNameError: if there is no such layer or feature map.

    >>> from torch import nn
    >>> from trojancam.detection.suspect import suspect
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)), (4, 4))
    >>> clean = suspect(network, torch.rand(4, 3, 4, 4))
    >>> held = held_at_mean(network, "0", [1], clean)
    >>> float(next(before(held.cut("0"), clean.images))[0][:, 1].std().round(decimals=6))
    0.0
    """
    chosen = [network.feature_map(layer, index) for index in maps]
    means = _mean(network, layer, clean)[chosen]
    for names in _places(network, layer):
        values = {name: network.parameters[name].detach().clone() for name in names}
        *kernels, added = values
        for kernel in kernels:
            values[kernel][chosen] = 0
        values[added][chosen] = means.to(values[added])
        changed = network.with_parameters(values)
        if _holds(changed, layer, chosen, means, clean):
            return changed
    return None


def _places(network: Network, layer: str) -> list[list[str]]:
    """What may hold a map: its kernel and its own bias; or its kernel and the scale and shift of the normalisation after it."""
    own, groups = network.parameters, network.parameter_groups
    kernel = f"{layer}.weight"
    if kernel not in own:
        return []
    found = [[kernel, f"{layer}.bias"]] if f"{layer}.bias" in own else []
    later = list(groups)[list(groups).index(layer) + 1 :] if layer in groups else []
    for module in later[:1]:
        names = [f"{module}.weight", f"{module}.bias"]
        if all(name in own and own[name].shape == own[kernel].shape[:1] for name in names):
            bias = [f"{layer}.bias"] if f"{layer}.bias" in own else []
            found.append([kernel, *bias, *names])
    return found


def _activations(network: Network, layer: str, clean: Suspect) -> Tensor:
    return torch.cat([values[0] for values in before(network.cut(layer), clean.images)])


def _mean(network: Network, layer: str, clean: Suspect) -> Tensor:
    return _activations(network, layer, clean).mean((0, 2, 3))


def _holds(network: Network, layer: str, maps: Sequence[int], means: Tensor, clean: Suspect) -> bool:
    """Whether the maps are what they should be, on all clean images."""
    activations = _activations(network, layer, clean)
    off = (activations[:, list(maps)] - means[None, :, None, None]).abs().max()
    return bool(off <= EXACT * activations.abs().max().clamp(min=1))
