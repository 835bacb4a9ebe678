"""Map weights: which parameters make a feature map, so that a map can be scaled, silenced and begun anew."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network.network import Network

Masks = Mapping[str, Float[Tensor, " k"]]


def scaling(network: Network, layer: str) -> tuple[str, ...]:
    """The parameters that a layer's maps are proportional to before the activation: multiplied by m, they multiply the map by m.

    They are scale and shift of the batch normalisation after the convolution; without one, its kernel and its bias. Of a layer
    that is no convolution with a kernel of its own there are none.

    >>> from torch import nn
    >>> scaling(Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)), (4, 4)), "0")
    ('0.weight', '0.bias')
    """
    own, modules = network.parameters, list(network.parameter_groups)
    kernel, bias = f"{layer}.weight", f"{layer}.bias"
    if kernel not in own:
        return ()
    later = modules[modules.index(layer) + 1 :][:1] if layer in modules else []
    for scale, shift in network.normalisations:
        if scale.rpartition(".")[0] in later and own[scale].shape == own[kernel].shape[:1]:
            return scale, shift
    return (kernel, bias) if bias in own else (kernel,)


def maskable(network: Network) -> tuple[str, ...]:
    """The layers whose maps can be scaled.

    Raises:
        DataError: if there is none.
    """
    found = tuple(layer for layer in network.layers if scaling(network, layer))
    if not found:
        raise DataError("no layer of this network has feature maps that a pruning could silence; choose another method")
    return found


def masked(network: Network, masks: Masks) -> Network:
    """The network with every map of these layers multiplied by its mask before the activation; 0 silences it.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)), (4, 4))
    >>> silent = masked(network, {"0": torch.tensor([1.0, 0.0])})
    >>> silent.parameters["0.weight"][1].abs().sum()
    tensor(0.)
    """
    own, values = network.parameters, dict[str, Tensor]()
    for layer, mask in masks.items():
        for name in scaling(network, layer):
            values[name] = own[name].detach() * rows(mask.to(own[name]), own[name])
    return network.with_parameters(values)


def rows(values: Float[Tensor, " k"], like: Tensor) -> Tensor:
    """A number for each map, with as many axes as a parameter has, so that they can be multiplied."""
    return values.view(-1, *[1] * (like.ndim - 1))


def silenced(network: Network, layer: str, maps: list[int]) -> Network:
    """The network with these maps of a layer at 0 before the activation."""
    mask = torch.ones(network.layer(layer).feature_maps)
    mask[maps] = 0
    return masked(network, {layer: mask})
