"""Cleaning an image: the place that makes it suspicious is taken out and filled in from around it, and the network asked again.

As Februus does (Doan et al., ACSAC 2020), but the place is that of a defence, and it is filled by ROAD's interpolation
(`evaluation.imputation`) instead of a network that paints. Squares of several sizes are tried. All that change the class have a
vote on what it becomes: where a part of a trigger is left, the network often sees a third class. Of those that agree with
the vote, the smallest is taken out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.defences.defence import Images, answers
from trojancam.errors import DataError
from trojancam.evaluation.imputation import imputed
from trojancam.network import given
from trojancam.network.batches import BUDGET, check_budget, parts
from trojancam.network.network import Network
from trojancam.showing import Brief

SHARES = (0.01, 0.017, 0.026, 0.036, 0.048, 0.063, 0.09, 0.12)  # of the pixels, that squares cover
COPIES = 6  # of an image, while it is filled in

Places = Float[Tensor, "n h w"]


@dataclass(frozen=True)
class CleanedImages(Brief):
    """Images with a region filled in from around it (`masks`), and what the network says before and after.

    Where no region changes the class, the image is as it was, and its mask is empty.
    """

    images: Images
    masks: Bool[Tensor, "n h w"]
    before: Int64[Tensor, " n"]
    after: Int64[Tensor, " n"]

    @property
    def changed(self) -> Bool[Tensor, " n"]:
        """Which images have another class now."""
        return self.before != self.after


def cleaned(
    network: Network,
    images: given.GivenImages,
    places: Places,
    shares: tuple[float, ...] = SHARES,
    *,
    memory_budget: int = BUDGET,
) -> CleanedImages:
    """The images without what makes them suspicious: the square around it is filled in, if that changes the class.

    For each of the `shares` of the pixels, it is the square of that size over which `places` sum to most. Of the classes that
    the network predicts with one of them filled in, other than before, the one with the greatest sum of probabilities over all
    that change the class is chosen, and with it the smallest square that leads there.

    Raises:
        DataError: if the network cannot take the images, there is not one map of their size for each, or a share does not lie
            between 0 and 1.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> cleaned(network, torch.rand(5, 3, 8, 8), torch.rand(5, 8, 8)).masks.shape
    torch.Size([5, 8, 8])
    """
    whole = given.images(network, images).cpu()
    check_budget(memory_budget)
    _check(whole, places, shares)
    rows = max(1, network.rows(memory_budget, beside=COPIES * whole[0].nbytes) // len(shares))
    found = [_cleaned(network, whole[part], places[part].cpu(), shares) for part in parts(len(whole), rows)]
    return CleanedImages(
        *(torch.cat([getattr(each, name) for each in found]) for name in ("images", "masks", "before", "after"))
    )


def _cleaned(network: Network, images: Images, places: Places, shares: tuple[float, ...]) -> CleanedImages:
    before = answers(network, images).argmax(1).cpu()
    masks = torch.stack([region(places, share) for share in shares], 1)
    masks &= ~masks.flatten(2).all(2)[:, :, None, None]  # something has to be left to fill in from
    repeated = images[:, None].expand(-1, len(shares), -1, -1, -1).flatten(0, 1)
    filled = imputed(repeated, masks.flatten(0, 1))
    logits = answers(network, filled).cpu().view(len(images), len(shares), -1)
    after = logits.argmax(2)
    winner = voted(logits, before)
    agree = (after == winner[:, None]) & (winner != before)[:, None]
    chosen, own = agree.int().argmax(1), torch.arange(len(images))
    changed = agree.any(1)
    return CleanedImages(
        filled.view(len(images), len(shares), *images.shape[1:])[own, chosen].where(
            changed[:, None, None, None], images
        ),
        masks[own, chosen] & changed[:, None, None],
        before,
        after[own, chosen].where(changed, before),
    )


def voted(logits: Float[Tensor, "n m classes"], before: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """The class that the m fillings of each image agree on most: those that change its class count, by their probabilities.

    Only a class that one of them predicts can win; where none changes the class, it is the one before.

    >>> logits = torch.tensor([[[9.0, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 3.0]]])
    >>> voted(logits, torch.tensor([0])), voted(logits[:, :1], torch.tensor([0]))
    (tensor([2]), tensor([0]))
    """
    after = logits.argmax(2)
    changed = after != before[:, None]
    predicted = torch.zeros_like(logits).scatter_(2, after[..., None], changed[..., None].to(logits)).amax(1) > 0
    votes = (logits.softmax(2) * changed[..., None]).sum(1)
    return votes.where(predicted, -1.0).argmax(1).where(changed.any(1), before)


def region(places: Places, share: float) -> Bool[Tensor, "n h w"]:
    """The square of about this share of the pixels over which each map sums to most; none of a map that is the same everywhere.

    >>> region(torch.tensor([[[0.0, 0.0, 9.0], [0.0, 1.0, 5.0], [0.0, 0.0, 0.0]]]), 0.44).int()
    tensor([[[0, 1, 1],
             [0, 1, 1],
             [0, 0, 0]]], dtype=torch.int32)
    """
    height, width = places.shape[1:]
    side = min(height, width, max(1, round((share * height * width) ** 0.5)))
    sums = torch.nn.functional.avg_pool2d(places[:, None].double(), side, 1)[:, 0]
    place = sums.flatten(1).argmax(1)
    top, left = place // sums.shape[2], place % sums.shape[2]
    rows, columns = _span(top, side, height), _span(left, side, width)
    points = places.amax((1, 2)) > places.amin((1, 2))
    return rows[:, :, None] & columns[:, None, :] & points[:, None, None]


def _span(first: Int64[Tensor, " n"], count: int, extent: int) -> Bool[Tensor, "n extent"]:
    pixels = torch.arange(extent, device=first.device)
    return (pixels >= first[:, None]) & (pixels < first[:, None] + count)


def _check(images: Images, places: Places, shares: tuple[float, ...]) -> None:
    if tuple(places.shape) != (len(images), *images.shape[2:]):
        raise DataError(
            f"{len(images)} images of {images.shape[2]}x{images.shape[3]} pixels need as many maps of that size, but these "
            f"are of shape {tuple(places.shape)}"
        )
    if not shares or not all(0 < share < 1 for share in shares):
        raise DataError(f"shares of the pixels lie between 0 and 1, and there is at least one, unlike {shares}")
