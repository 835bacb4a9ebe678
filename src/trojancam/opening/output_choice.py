"""Which of a network's outputs are its logits, found on labelled images where neither shapes nor names tell."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import DataError, ModelError, Remedy, SeveralOutputsError, TrojanCamError
from trojancam.network.network import Network
from trojancam.opening.preprocessing import CERTAIN, Preprocessing, answers, is_right, more_often_right, tried

LabelledImages = tuple[Float[Tensor, "n 3 h w"], Int64[Tensor, " n"]]
Made = TypeVar("Made")
MOST_TRIED = 16  # outputs that are opened one after another to find the one that is meant
ImagesFor = Callable[[Network], LabelledImages]


def output_found(
    several: SeveralOutputsError, opened: Callable[[str], Network], labelled: ImagesFor | None
) -> tuple[str, str]:
    """The output that gives the logits, and how that was found, in words.

    `opened` makes the network of one output; what it refuses is no output of a classifier. `labelled` gives images that fit
    a network, and their classes; it refuses a network of more or fewer classes than these are of.

    Raises:
        SeveralOutputsError: if several outputs remain, and there are no images, or there are too many to try all.
        ModelError: if none of them is right on most images, and clearly more often than every other one.
    """
    if len(several.outputs) > MOST_TRIED:
        raise several
    networks = _accepted(several.outputs, opened)
    if len(networks) == 1:
        return next(iter(networks)), "no other output is one of a classifier of as many classes"
    if labelled is None:
        raise SeveralOutputsError(networks, Remedy.LABELLED_IMAGES)
    try:
        images = _accepted(list(networks), lambda name: labelled(networks[name]))
    except DataError as error:  # its sentence is about the first output, which may be the wrong one
        raise (
            SeveralOutputsError(networks, Remedy.ITS_CLASSES) if Remedy.SAME_CLASSES in error.remedies else error
        ) from None
    if len(images) == 1:
        return next(iter(images)), "it alone has as many classes as the labelled images"
    found = {name: _best(networks[name], *images[name]) for name in images}
    return _clearly_best(found, {name: len(networks[name].class_names) for name in found})


def _accepted(names: Sequence[str], made: Callable[[str], Made]) -> dict[str, Made]:
    """What is made of each name for which it can be made.

    Raises:
        TrojanCamError: if it can be made for none: the first reason.
    """
    accepted: dict[str, Made] = {}
    refused: list[TrojanCamError] = []
    for name in names:
        try:
            accepted[name] = made(name)
        except TrojanCamError as error:
            refused.append(error)
    if not accepted:
        raise refused[0]
    return accepted


def _best(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Preprocessing:
    """What it answers, fed as somebody vouches for, else in the usual way in which it is right most often."""
    return answers(network, images, labels) if network.feeding.vouched else tried(network, images, labels)[0]


def _clearly_best(found: Mapping[str, Preprocessing], classes: Mapping[str, int]) -> tuple[str, str]:
    """The output that is right on most images, and clearly more often than all that answer otherwise."""
    best = max(found, key=lambda name: found[name].accuracy)
    others = [name for name in found if not found[name].answers.equal(found[best].answers)]
    listed = ", ".join(f"{name} {each.accuracy:.0%}" for name, each in found.items())
    count = len(found[best].labels)
    clear = all(more_often_right(found[best], found[name], CERTAIN / len(others)) for name in others)
    if not clear or not is_right(found[best], classes[best], len(found)):
        raise ModelError(
            f"which output of the network gives the logits is not clear from {count} labelled images (right: {listed})",
            Remedy.OUTPUT,
            Remedy.ITS_CLASSES,
        )
    return best, f"right on {found[best].accuracy:.1%} of {count} labelled images ({listed})"
