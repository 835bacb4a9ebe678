"""Preprocessing: how a network wants its pixels, found by trying the usual ways on images whose classes are known.

A network that is fed otherwise than it was trained still answers, only wrongly, and what is then found in it means nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import ModelError, unknown_name
from trojancam.network import Network
from trojancam.types import InputSpecification

Three = tuple[float, float, float]
CERTAIN = 0.01  # the chance that a winner is ahead by luck alone, and that it is no better than guessing, stays below
TRIED = 2_000  # images, at most, that the usual ways are tried on: the right one may be ahead by little
BATCH = 64

BYTE = 255.0
AS_SAID = "as-said"  # by the file, or by whoever loaded it
SCALINGS: dict[str, tuple[Three, Three]] = {  # mean and deviation of pixels in [0, 1]
    "unit": ((0.0,) * 3, (1.0,) * 3),  # [0, 1]
    "symmetric": ((0.5,) * 3, (0.5,) * 3),  # [-1, 1]
    "bytes": ((0.0,) * 3, (1 / BYTE,) * 3),  # 0 to 255
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "quarter": ((0.5,) * 3, (0.25,) * 3),  # [-2, 2]
    "caffe": ((0.485, 0.456, 0.406), (1 / BYTE,) * 3),  # 0 to 255, less ImageNet's mean
}


@dataclass(frozen=True)
class Preprocessing:
    """A way to feed a network, and on which of the labelled images it then was right."""

    name: str
    specification: InputSpecification
    right: Bool[Tensor, " n"]

    @property
    def accuracy(self) -> float:
        """The share of images that were given their own class."""
        return float(self.right.float().mean())


def usual_ways(network: Network) -> dict[str, InputSpecification]:
    """The usual ways to feed a network, and its own first; `mean` and `std` are in the order of its channels."""
    own = network.input
    ways = {AS_SAID: own}
    for order in ("grey",) if own.channels == "grey" else ("rgb", "bgr"):
        for name, (mean, std) in SCALINGS.items():
            turned = slice(None, None, -1 if order == "bgr" else 1)
            fields = {"mean": mean[turned], "std": std[turned], "channels": order}
            ways[f"{order}-{name}"] = own.model_copy(update=fields)
    return ways


def preprocessing_of(network: Network, name: str) -> InputSpecification:
    """The usual way to feed a network that has this name, such as `rgb-symmetric`.

    Raises:
        UnknownNameError: if there is none.
    """
    ways = usual_ways(network)
    if name not in ways:
        raise unknown_name("preprocessing", name, ways)
    return ways[name]


def tried(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> list[Preprocessing]:
    """The network fed in all the usual ways, the most accurate first.

    Raises:
        ModelError: if the images do not fit the network.
    """
    found = []
    for name, specification in usual_ways(network).items():
        fed = network.fed(specification)
        answers = torch.cat([fed(batch).argmax(1) for batch in images.split(BATCH)])
        found.append(Preprocessing(name, specification, answers == labels))
    return sorted(found, key=lambda each: -each.accuracy)


def clear_winner(found: Sequence[Preprocessing], classes: int) -> Preprocessing:
    """The way that is right most often, if that is more than luck.

    Luck against the next best is a sign test on the images on which only one of the two was right (McNemar 1947, exact);
    luck against guessing, the binomial with `1 / classes`. Ways that are right on the very same images count as one.

    Raises:
        ModelError: if none is clearly right.
    """
    best = found[0]
    images, right = len(best.right), int(best.right.sum())
    listed = ", ".join(f"{each.name} {each.accuracy:.0%}" for each in found[:3])
    if _at_least(right, images, 1 / classes) >= CERTAIN:
        raise ModelError(
            f"no usual preprocessing makes the network right more often than guessing ({listed}); are these images of its "
            "classes, and in its order? Else say how it is fed with --preprocessing"
        )
    for other in found[1:]:
        ahead = int((best.right & ~other.right).sum())
        behind = int((other.right & ~best.right).sum())
        if ahead + behind and _at_least(ahead, ahead + behind, 0.5) >= CERTAIN:
            raise ModelError(
                f"which preprocessing the network wants is not clear from these {images} images ({listed}); give more of "
                "them, or say how it is fed with --preprocessing"
            )
    return best


def _at_least(successes: int, trials: int, chance: float) -> float:
    """How likely so many successes, or more, are by chance."""
    return sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1))
