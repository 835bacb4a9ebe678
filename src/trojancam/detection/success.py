"""Success rates of a trigger, and of stimulated feature maps, over clean images of other classes than the target's."""

import math

import torch

from trojancam.attacks.attack_success import attack_success_rate, meant, rate_of
from trojancam.attacks.trigger import Trigger
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.replay import before
from trojancam.stimulation import Stimulation, stimulated_logits


def reasr(
    network: Network,
    trigger: Trigger,
    images: given.GivenImages,
    labels: given.GivenLabels,
    target_class: given.GivenClass,
) -> float:
    """The attack success rate of a recovered trigger: the share of images of other classes that it sends to the target.

    REASR of ABS (Liu et al., CCS 2019) where the trigger was made on other images than these. The rate lies in [0, 1] and
    is NaN without an image of another class.

    Raises:
        DataError: if the images are of another size than the trigger.

    >>> from torch import nn
    >>> from trojancam.attacks.patch import square
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2)), (8, 8))
    >>> trigger = square(8, 0, 0, image_size=(8, 8))  # covers all of the image: every image is sent to one class
    >>> target = int(network(trigger.apply(torch.zeros(1, 3, 8, 8))).argmax())
    >>> reasr(network, trigger, torch.rand(5, 3, 8, 8), torch.full((5,), 1 - target), target)
    1.0
    """
    return attack_success_rate(network, images, labels, trigger, target_class)


def stimulation_asr(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    target_class: given.GivenClass,
    stimulation: Stimulation,
) -> float:
    """The share of images of other classes that go to the target when their feature maps are stimulated.

    The rate lies in [0, 1] and is NaN without an image of another class.

    Raises:
        UnknownNameError: if the network has no such layer or feature map.
        DataError: if the stimulation does not fit its layer, or the network cannot take the images.
    """
    return rate_of(
        network, lambda chosen: stimulated_logits(network, chosen, [stimulation])[0], images, labels, target_class
    )


def ablation_asr(
    network: Network,
    trigger: Trigger,
    images: given.GivenImages,
    labels: given.GivenLabels,
    target_class: given.GivenClass,
    layer: str,
    feature_maps: given.GivenNumbers,
) -> float:
    """The attack success rate of a trigger while feature maps of a layer are held at their clean mean.

    `A^k <- mean over the clean images of A^k`, cell by cell. What is left of the rate without the ablation is what passes
    these maps by. `images` are the clean ones; the rate lies in [0, 1] and is NaN without an image of another class.

    Raises:
        UnknownNameError: if there is no such layer or feature map.
        DataError: if the images are of another size than the trigger.

    >>> from torch import nn
    >>> from trojancam.attacks.patch import square
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2)), (8, 8))
    >>> images, labels = torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 0, 1, 0])
    >>> 0 <= ablation_asr(network, square(2, 0, 0, image_size=(8, 8)), images, labels, 1, "0", (0,)) <= 1
    True
    """
    maps = [network.feature_map(layer, index) for index in given.numbers("feature maps", feature_maps)]
    clean, own, target = meant(network, images, labels, target_class)
    cut, others = network.cut(layer), clean[own != target]
    if len(others) == 0:
        return math.nan
    total = torch.stack([values[0][:, maps].sum(0) for values in before(cut, others)]).sum(0)
    held = Stimulation(layer, tuple(maps), "replace", total / len(others))
    return stimulation_asr(network, trigger.apply(clean), own, target, held)
