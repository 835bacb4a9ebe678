"""Attack success: how often a network falls for a trigger, from the network and clean images, in one call."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam import rates
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.text import with_article

Images = Float[Tensor, "n 3 h w"]
Change = Callable[[Images], Images]


def attack_success_rate(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    trigger: Trigger | Change,
    target: given.GivenClass,
) -> float:
    """The share of clean images of other classes that a trigger sends to the target, a class by number or name.

    `trigger` is one of `trojancam.attacks`, that of a finding, or a function that changes images `n 3 h w` in [0, 1]. The rate
    lies in [0, 1] and is NaN without an image of another class. Of an attack that has a target for each class,
    `trojancam.rates.attack_success_rate` counts, from predictions.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if the images are of another size than the trigger, the network cannot take them, or it is no trigger.

    >>> from torch import nn
    >>> from trojancam.attacks.patch import square
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2)), (8, 8))
    >>> trigger = square(8, 0, 0, image_size=(8, 8))  # covers all of the image: every image is sent to one class
    >>> target = int(network(trigger.apply(torch.zeros(1, 3, 8, 8))).argmax())
    >>> attack_success_rate(network, torch.rand(5, 3, 8, 8), [1 - target] * 5, trigger, target)
    1.0
    """
    if not isinstance(trigger, Trigger) and not callable(trigger):
        raise DataError(
            f"a trigger, or a function that changes images, is wanted here, not {with_article(type(trigger).__name__)}; make "
            "one, such as make_trigger('yellow-square')"
        )
    change = trigger.apply if isinstance(trigger, Trigger) else trigger
    return rate_of(network, lambda chosen: network(change(chosen)), images, labels, target)


def rate_of(
    network: Network,
    run: Callable[[Images], Float[Tensor, "m classes"]],
    images: given.GivenImages,
    labels: given.GivenLabels,
    target: given.GivenClass,
) -> float:
    """The attack success rate over the logits that `run` makes of the images of other classes, some at a time.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if the network cannot take the images, or there are not as many labels.
    """
    clean, own, target_class = meant(network, images, labels, target)
    others = own != target_class
    if not bool(others.any()):
        return math.nan
    predictions = [run(chosen).argmax(1) for chosen in clean[others].split(network.rows())]
    return rates.attack_success_rate(torch.cat(predictions), own[others], target_class)


def meant(
    network: Network, images: given.GivenImages, labels: given.GivenLabels, target: given.GivenClass
) -> tuple[Images, Int64[Tensor, " n"], int]:
    """Images, their classes and the target, all of it as tensors and numbers, where the images lie.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if the network cannot take the images, or there are not as many labels.
    """
    clean = given.images(network, images)
    own = given.labels(network, labels, len(clean)).to(clean.device)
    return clean, own, given.target_class(network, target)
