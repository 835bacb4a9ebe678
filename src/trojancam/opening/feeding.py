"""How a network is fed: found on labelled images where nobody vouches for it, and said in words."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.input import Feeding, InputSpecification
from trojancam.network.network import Network
from trojancam.opening.preprocessing import TRIED, clear_winner, tried


def with_feeding_found(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Network:
    """The network as it is where somebody vouches for how it is fed, else fed in the usual way that is right on the images.

    Of many images, as many as are needed are taken, evenly spread.

    Raises:
        ModelError: if no usual way is clearly right.
    """
    if network.feeding.vouched:
        return network
    if len(images) > TRIED:
        spread = torch.linspace(0, len(images) - 1, TRIED, device=images.device).long()
        images, labels = images[spread], labels[spread.to(labels.device)]
    best = clear_winner(tried(network, images, labels), len(network.class_names))
    words = f"{best.name}, found by trying: right on {best.accuracy:.1%} of {len(images)} labelled images"
    return network.fed(best.specification, Feeding(words))


def in_words(own: InputSpecification) -> str:
    """What a network is fed.

    >>> in_words(InputSpecification(size=(64, 48), channels="grey", mean=(0.5,) * 3, crop=0.875))
    'grey of 64x48 pixels, mean 0.5, deviation 1, the middle 87.5% of each side'
    """
    height, width = own.size
    mean, std = (_numbers(values[: own.number_of_channels]) for values in (own.mean, own.std))
    crop = "" if own.crop == 1 else f", the middle {own.crop:.1%} of each side"
    cut = ", cut to the region that the data gives" if own.region == "roi" else ""
    return f"{own.channels} of {height}x{width} pixels, mean {mean}, deviation {std}{cut}{crop}"


def _numbers(values: Sequence[float]) -> str:
    """Those of the channels; one, where they are all the same."""
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))
