"""Cleaning an image: the place that makes it suspicious is taken out and filled in from around it, and the network asked again.

As Februus does (Doan et al., ACSAC 2020), but the place is that of a defence, and it is filled by ROAD's interpolation
(`evaluation.imputation`) instead of a network that paints. Only as much is taken out as is needed to change the class.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.defences.defence import Images, answers
from trojancam.errors import DataError
from trojancam.evaluation.imputation import imputed
from trojancam.evaluation.localisation import dilated
from trojancam.network import given
from trojancam.network.batches import BUDGET, check_budget, parts
from trojancam.network.network import Network
from trojancam.showing import Brief

SHARES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18)  # of the pixels, before the region is grown by one pixel
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
    """The images without what makes them suspicious: the smallest region whose filling changes the class is filled in.

    Regions are those pixels of `places` that are among the greatest `shares`, grown by one pixel on every side.

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
    after = answers(network, filled).argmax(1).cpu().view(len(images), len(shares))
    turned = after != before[:, None]
    chosen, own = turned.int().argmax(1), torch.arange(len(images))
    any_turned = turned.any(1)
    return CleanedImages(
        filled.view(len(images), len(shares), *images.shape[1:])[own, chosen].where(
            any_turned[:, None, None, None], images
        ),
        masks[own, chosen] & any_turned[:, None, None],
        before,
        after[own, chosen].where(any_turned, before),
    )


def region(places: Places, share: float) -> Bool[Tensor, "n h w"]:
    """The greatest `share` of the pixels of each map, grown by one pixel; none of a map that is blank.

    >>> region(torch.tensor([[[9.0, 0.0, 0.0, 1.0]]]), 0.25)
    tensor([[[ True,  True, False, False]]])
    """
    count = max(1, round(share * places[0].numel()))
    least = places.flatten(1).topk(count, 1).values[:, -1]
    return dilated((places >= least[:, None, None]) & (places > 0), (1, 1))


def _check(images: Images, places: Places, shares: tuple[float, ...]) -> None:
    if tuple(places.shape) != (len(images), *images.shape[2:]):
        raise DataError(
            f"{len(images)} images of {images.shape[2]}x{images.shape[3]} pixels need as many maps of that size, but these "
            f"are of shape {tuple(places.shape)}"
        )
    if not shares or not all(0 < share < 1 for share in shares):
        raise DataError(f"shares of the pixels lie between 0 and 1, and there is at least one, unlike {shares}")
