"""Suspect: all that a detector gets to see, a network and clean images, and nothing of where either came from."""

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.plain import plain
from trojancam.showing import Brief

FEWEST = 4  # clean images of other classes than a target's, so that a rate over them can say anything


@dataclass(frozen=True)
class Suspect(Brief):
    """A network without its model card, clean images in [0, 1], and their labels: what the network predicts, if unknown.

    Images and labels lie on the network's device. Their order depends on what they are, and on nothing else (see `spread`).

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
    copies = plain(given.images(network, images), network.device)
    if len(copies) < FEWEST:
        raise DataError(f"a scan needs at least {FEWEST} clean images, but got {len(copies)}; a few dozen are better")
    own = network(copies).argmax(1) if labels is None else given.labels(network, labels, len(copies))
    classes = plain(own, network.device)
    order = spread(copies, classes)
    return Suspect(network.without_card(), copies[order], classes[order])


def spread(images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """An order of images in which their classes take turns, and which depends on the images and labels alone.

    First comes one image of each class, then a second one of each that has one, and so on. Which one is first is drawn by the
    SHA-256 of the pixels, so that the same images, given in another order, lead to the same result.

    >>> images = torch.arange(5.0)[:, None, None, None].expand(-1, 3, 1, 1) / 10
    >>> labels = torch.tensor([0, 0, 0, 1, 1])
    >>> labels[spread(images, labels)].tolist()
    [0, 1, 0, 1, 0]
    """
    ranked = [(rank, *drawn) for drawn_of_class in _drawn(images, labels) for rank, drawn in enumerate(drawn_of_class)]
    return torch.tensor([index for *_, index in sorted(ranked)], dtype=torch.long, device=images.device)


def halves(suspect: Suspect) -> tuple[Suspect, Suspect]:
    """Half of each class's images to find something with, and the rest to see whether it holds; classes take turns in both.

    Of classes with an odd number of images, every other one has its odd image in the first half.
    """
    sides: tuple[list[tuple[int, bytes, int]], ...] = ([], [])
    taken = 0
    for drawn_of_class in _drawn(suspect.images, suspect.labels):
        for rank, drawn in enumerate(drawn_of_class):
            sides[taken % 2].append((rank // 2, *drawn))
            taken += 1
    device = suspect.images.device
    first, second = (torch.tensor([i for *_, i in sorted(side)], dtype=torch.long, device=device) for side in sides)
    return (
        Suspect(suspect.network, suspect.images[first], suspect.labels[first]),
        Suspect(suspect.network, suspect.images[second], suspect.labels[second]),
    )


def _drawn(images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> list[list[tuple[bytes, int]]]:
    """The images of each class, classes in order, as their pixels' SHA-256 and their numbers; sorted."""
    found: dict[int, list[tuple[bytes, int]]] = {}
    for index, (image, label) in enumerate(zip(images.cpu(), labels.tolist(), strict=True)):
        found.setdefault(label, []).append((hashlib.sha256(image.contiguous().numpy().tobytes()).digest(), index))
    return [sorted(found[label]) for label in sorted(found)]
