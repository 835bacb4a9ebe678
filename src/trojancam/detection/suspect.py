"""Suspect: all that a detector gets to see, a network and clean images, and nothing of where either came from."""

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.showing import Brief

FEWEST = 4  # clean images of other classes than a target's, so that a rate over them can say anything


@dataclass(frozen=True)
class Suspect(Brief):
    """A network without its model card, clean images in [0, 1], and their labels: what the network predicts, if unknown.

    Images and labels lie on the network's device.

    Made with `suspect`, which copies plain tensors: a trigger, mask or target that hides in a data set, in the
    attributes of a tensor or in the model card does not come along.
    """

    network: Network
    images: Float[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.network.class_names)

    def others(self, target_class: int) -> Bool[Tensor, " n"]:
        """Which images are of another class: only they count toward a success rate."""
        return self.labels != target_class

    def first(self, count: int) -> "Suspect":
        """The same with the first images only."""
        return Suspect(self.network, self.images[:count], self.labels[:count])

    def fingerprint(self) -> str:
        """A name for the network and the images, so that results are never continued with others."""
        digest = hashlib.sha256(self.network.fingerprint.encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def suspect(network: Network, images: given.GivenImages, labels: given.GivenLabels | None = None) -> Suspect:
    """What a detector may see of a network and clean images; without labels, the network's own predictions stand in.

    Raises:
        DataError: if there are too few images, or some that the network cannot take, or not as many labels.
        UnknownNameError: if a label is no class of the network.
    """
    plain = _plain(given.images(network, images), network.device)
    if len(plain) < FEWEST:
        raise DataError(f"a scan needs at least {FEWEST} clean images, but got {len(plain)}; a few dozen are better")
    own = network(plain).argmax(1) if labels is None else given.labels(network, labels, len(plain))
    return Suspect(network.without_card(), plain, _plain(own, network.device))


def _plain(values: Tensor, device: torch.device) -> Tensor:
    """The values alone, on a device: no attribute, subclass or gradient of the tensor comes along."""
    return torch.from_numpy(values.detach().cpu().numpy().copy()).to(device)
