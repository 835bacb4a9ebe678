"""Weight scaling: IBD-PSC for networks without batch normalisation (after Hou et al., ICML 2024; new in TrojanCAM).

IBD-PSC multiplies scale and shift of the last normalisations by 1.5, and with them what their layers give. Here weights and
biases of the last convolutions and dense layers are multiplied: without a normalisation behind them, that does the same to what
these give. Two things differ. The layer that gives the logits stays as it is, for no class changes with it. And where a factor of
1.5 loses too few clean images even with all layers, as in networks whose small biases are all that it shifts the balance of,
the factor is raised to its next power.
"""

import torch
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test, answers
from trojancam.defences.ibd_psc import FACTOR, LOST, NETWORKS, consistency
from trojancam.errors import ModelError
from trojancam.network.network import Network

POWERS = 6  # of the factor that are tried


def learn(reference: Reference) -> Test:
    """The test with five networks, amplified in the last k, k + 1, ... layers; the score is the mean probability, as IBD-PSC's.

    Raises:
        ModelError: if the network has a single layer with weights.
    """
    amplified = amplified_networks(reference)

    def test(seen: Seen) -> Scores:
        return Scores(consistency(seen, amplified))

    return test


def layers_with_weights(network: Network) -> list[tuple[str, ...]]:
    """The parameters of each convolution and dense layer but the last one, in the order in which they run.

    >>> from torch import nn
    >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> layers_with_weights(Network.from_module(small, (8, 8)))
    [('0.weight', '0.bias')]
    """
    own = network.parameters
    groups = [names for names in network.parameter_groups.values() if any(own[name].ndim in (2, 4) for name in names)]
    return groups[:-1]


def amplified_networks(reference: Reference) -> list[Network]:
    """The networks; fewer than five where there are not as many layers.

    Raises:
        ModelError: if no layer but the last one has weights.
    """
    network = reference.network
    layers = len(layers_with_weights(network))
    if not layers:
        raise ModelError(
            "weight scaling amplifies the layers before the logits, but the network has none with weights; choose another "
            "defence, such as contributions"
        )
    own = reference.logits.argmax(1)
    factor = next((FACTOR**power for power in range(1, POWERS) if _lost(reference, own, layers, FACTOR**power)), None)
    factor, first = factor or FACTOR**POWERS, layers
    for count in range(1, layers):
        if _lost(reference, own, count, factor):
            first = count
            break
    return [amplified(network, count, factor) for count in range(first, min(first + NETWORKS, layers + 1))]


def amplified(network: Network, count: int, factor: float = FACTOR) -> Network:
    """The network with weights and biases of its last `count` layers before the logits multiplied."""
    own = network.parameters
    names = [name for group in layers_with_weights(network)[-count:] for name in group]
    return network.with_parameters({name: factor * own[name] for name in dict.fromkeys(names)})


def _lost(reference: Reference, own: Tensor, count: int, factor: float) -> bool:
    """Whether more than 0.6 of the clean images change their class."""
    changed = amplified(reference.network, count, factor)
    found = torch.cat([answers(changed, seen.images).cpu().argmax(1) for seen in reference.seen()])
    return float((found != own).double().mean()) > LOST
