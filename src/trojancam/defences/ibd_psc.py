"""IBD-PSC: an amplified network keeps the class of a triggered image, and is sure of it (Hou et al., ICML 2024).

With the normalisations of its last layers amplified, a network loses the class of most clean images; a backdoor outlives that.
It takes a network with batch normalisation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test, answers
from trojancam.errors import ModelError
from trojancam.network.network import Network

FACTOR = 1.5  # of scale and shift
NETWORKS = 5
LOST = 0.6  # of clean images that change their class: so many layers are amplified in the first of the networks


def learn(reference: Reference) -> Test:
    """The test with five networks, amplified in the last k, k + 1, ... normalisations; the score is the mean probability.

    `PSC(x) = (1/5) sum_i p_i(argmax f(x))`. `k` is the least number of layers at which more than 0.6 of the clean images change
    their class.

    Raises:
        ModelError: if the network has no batch normalisation.
    """
    amplified = amplified_networks(reference)

    def test(seen: Seen) -> Scores:
        return Scores(consistency(seen, amplified))

    return test


def amplified_networks(reference: Reference) -> list[Network]:
    """The networks; fewer than five where there are not as many normalisations."""
    network = reference.network
    layers = len(network.normalisations)
    if not layers:
        raise ModelError(
            "IBD-PSC amplifies batch normalisations, but the network has none; choose another defence, such as contributions"
        )
    own = reference.logits.argmax(1)
    first = layers
    for count in range(1, layers + 1):
        changed = amplified(network, count)
        lost = torch.cat([answers(changed, seen.images).cpu().argmax(1) for seen in reference.seen()]) != own
        if float(lost.double().mean()) > LOST:
            first = count
            break
    counts = range(first, min(first + NETWORKS, layers + 1))
    return [amplified(network, count) for count in counts]


def amplified(network: Network, count: int) -> Network:
    """The network with scale and shift of its last `count` normalisations multiplied."""
    parameters = network.parameters
    names = [name for pair in network.normalisations[-count:] for name in pair]
    return network.with_parameters({name: FACTOR * parameters[name] for name in dict.fromkeys(names)})


def consistency(seen: Seen, networks: list[Network]) -> Float[Tensor, " n"]:
    """The mean probability that the networks give the class which the whole one predicts."""
    own = seen.classes[:, None]
    chances = [answers(each, seen.images).cpu().softmax(1).gather(1, own)[:, 0] for each in networks]
    return torch.stack(chances).mean(0)
