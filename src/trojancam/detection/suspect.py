"""Suspect: all that a detector gets to see, a network and clean images, and nothing of where either came from."""

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError, unknown_name
from trojancam.network.network import Network

FEWEST = 4  # clean images of other classes than a target's, so that a rate over them can say anything


@dataclass(frozen=True)
class Suspect:
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


def suspect(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"] | None = None) -> Suspect:
    """What a detector may see of a network and clean images; without labels, the network's own predictions stand in.

    Raises:
        DataError: if there are too few images, or not as many labels.
        ModelError: if the images are of another size or range than the network takes, or its logits are not finite.
        UnknownNameError: if a label is no class of the network.
    """
    images = _plain(images, network.device)
    network.check(images)
    if len(images) < FEWEST:
        raise DataError(f"a scan needs at least {FEWEST} clean images, but got {len(images)}; a few dozen are better")
    labels = network(images).argmax(1) if labels is None else _plain(labels, network.device)
    if len(labels) != len(images):
        raise DataError(f"a scan needs one label for each image, but got {len(labels)} for {len(images)} images")
    classes = len(network.class_names)
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        raise unknown_name("class", wrong, [f"0 to {classes - 1}"])
    return Suspect(network.without_card(), images, labels)


def _plain(values: Tensor, device: torch.device) -> Tensor:
    """The values alone, on a device: no attribute, subclass or gradient of the tensor comes along."""
    return torch.from_numpy(values.detach().cpu().numpy().copy()).to(device)
