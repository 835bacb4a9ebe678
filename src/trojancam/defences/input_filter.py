"""Input filter: do the neurons that a recovered trigger excites fire?

Neural Cleanse (Wang et al., S&P 2019, section VI-A): a network answers to a recovered trigger with the same neurons as to the
true one. An image that makes these neurons fire more than clean images do is kept out. The authors look at the 1 % of the neurons
of the layer before the last whose activation the recovered trigger raises most. Here a neuron is a cell of a feature map of the
last layer with feature maps, and each of several recovered triggers has neurons of its own.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.defences.defence import Images, Reference, Scores, Seen, Test
from trojancam.errors import ModelError, Remedy
from trojancam.network.network import Network
from trojancam.showing import Brief

SHARE = 0.01  # of the neurons
SMALLEST = 1e-12


def learn(reference: Reference) -> Test:
    """The test with the neurons of each recovered trigger; the score is the greatest `(a - m) / s` of these.

    `a` is the mean activation of the neurons in an image, `m` and `s` its mean and standard deviation over clean images.

    Raises:
        ModelError: if no trigger was recovered from the network.
    """
    if not reference.triggers:
        raise ModelError("the input filter needs a trigger that a scan recovered from this network", Remedy.SCAN)
    network = reference.network
    layer = list(network.layers)[-1]
    excited = _excited(reference, layer)

    def test(seen: Seen) -> Scores:
        found = neurons(network, layer, seen.images)
        return Scores(torch.stack([each.z(found) for each in excited]).amax(0).cpu())

    return test


def neurons(network: Network, layer: str, images: Images) -> Float[Tensor, "n k"]:
    """The activations of all neurons of a layer, where the network computes."""
    with torch.no_grad():
        _, (values,) = network.forward_with(network.inputs(images), (layer,))
    return values.flatten(1)


@dataclass(frozen=True)
class Excited(Brief):
    """The neurons that a trigger raises most, and what their mean activation is in clean images."""

    places: Int64[Tensor, " k"]
    mean: float
    deviation: float

    @classmethod
    def of(cls, places: Int64[Tensor, " k"], means: Float[Tensor, " n"]) -> "Excited":
        """These neurons, with their mean activation in each clean image."""
        deviation = float(means.std()) if len(means) > 1 else 0.0
        return cls(places, float(means.mean()), deviation or SMALLEST)

    def z(self, found: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """How many deviations the mean activation is above that of clean images."""
        return ((found[:, self.places].mean(1).double() - self.mean) / self.deviation).to(found.dtype)


def _excited(reference: Reference, layer: str) -> list[Excited]:
    """Of each trigger the neurons of a layer that it raises most, on average over the clean images."""
    network, raised = reference.network, [torch.zeros((), device=reference.network.device)] * len(reference.triggers)
    for seen in reference.seen():
        plain = neurons(network, layer, seen.images)
        stamped = (neurons(network, layer, trigger.apply(seen.images)) for trigger in reference.triggers)
        raised = [before + (each - plain).sum(0) for before, each in zip(raised, stamped, strict=True)]
    places = [each.topk(max(1, round(SHARE * len(each)))).indices for each in raised]
    usual: list[list[Tensor]] = [[] for _ in places]
    for seen in reference.seen():
        plain = neurons(network, layer, seen.images)
        for means, chosen in zip(usual, places, strict=True):
            means.append(plain[:, chosen].mean(1))
    return [Excited.of(chosen, torch.cat(means).double()) for chosen, means in zip(places, usual, strict=True)]
