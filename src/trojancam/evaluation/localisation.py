"""Localisation: does a map look where it should? Maps against a known mask, with the chance level beside each figure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attribution import Attribution, energy_in_mask
from trojancam.attribution.attribution import GivenMaps, heatmaps_of
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.showing import Brief

Mask = Bool[Tensor, "h w"]
Masks = Bool[Tensor, "*n h w"]
Maps = Float[Tensor, "*n h w"]

Flat = Float[Tensor, "maps pixels"]
Flags = Bool[Tensor, " pixels"]
Counts = Int64[Tensor, " maps"]
Numbers = Float[Tensor, " maps"]

MAPS_AT_ONCE = 2048


def dilated(mask: Masks, cell: tuple[int, int]) -> Masks:
    """The mask, or each of several, grown by one cell of a layer on every side: a map is no more precise than its cells.

    `cell` is the height and width of a cell in pixels, as `Placement.cell` gives it.

    >>> import torch
    >>> mask = torch.zeros(8, 8, dtype=torch.bool)
    >>> mask[4, 4] = True
    >>> int(dilated(mask, cell=(2, 2)).sum())
    25
    """
    rows, columns = cell
    padded = F.pad(mask.reshape(-1, 1, *mask.shape[-2:]).float(), (columns, columns, rows, rows))
    return F.max_pool2d(padded, (2 * rows + 1, 2 * columns + 1), stride=1).view(mask.shape) > 0


def layer_energy(attribution: Attribution, mask: Masks) -> Float[Tensor, " n"]:
    """Each image's share of the layer map's energy inside the mask, upsampled to the image; NaN where it is blank.

    `mask` is one for all images, or one for each.
    """
    return energy_in_mask(attribution.heatmap(), mask)


def feature_map_energy(attribution: Attribution, mask: Masks) -> Float[Tensor, "n k"]:
    """Each image's share of every single feature map's energy inside the mask; NaN where a map is blank.

    `mask` is one for all images, or one for each.
    """
    maps = attribution.at_image_size(attribution.feature_maps())
    return energy_in_mask(maps, mask if mask.ndim == 2 else mask[:, None])


@dataclass(frozen=True)
class Chance:
    """What a map that knows nothing gets: the mask's share of the image, 0.5, and the IoU of pixels drawn at random.

    For the pointing game it is the share of the image in which a hit counts, the tolerance included.
    """

    energy: float
    pointing: float
    auc: float
    iou: float


@dataclass(frozen=True)
class Localisation(Brief):
    """Maps against a known mask, one number for each map under each metric, and the chance level of each metric."""

    energy: Float[Tensor, " *n"]
    pointing: Float[Tensor, " *n"]
    auc: Float[Tensor, " *n"]
    iou: Float[Tensor, " *n"]
    chance: Chance


def localisation(maps: GivenMaps, mask: given.GivenMask, tolerance: tuple[int, int] = (0, 0)) -> Localisation:
    """Maps of layers or of single feature maps, at the size of the image, against a known mask, under every metric here.

    `maps` are an attribution's heat maps, or any. `tolerance` is for the pointing game alone: by how many rows and columns
    of pixels it may miss, usually one cell of the layer, `Placement.cell`.

    Raises:
        DataError: if maps and mask are of different sizes, the mask is empty or covers the image, or a map is not finite.

    >>> import torch
    >>> found = localisation(torch.tensor([[[0.0, 3.0], [1.0, 0.0]]]), torch.tensor([[False, True], [False, False]]))
    >>> found.energy, found.pointing, found.auc, found.iou
    (tensor([0.7500]), tensor([1.]), tensor([1.]), tensor([1.]))
    >>> found.chance.energy, found.chance.pointing, found.chance.auc, round(found.chance.iou, 6)
    (0.25, 0.25, 0.5, 0.25)
    """
    heat, inside = _meant(maps, mask)
    return Localisation(
        energy=energy_in_mask(heat, inside),
        pointing=_by_map(_pointing_game, heat, dilated(inside, tolerance)),
        auc=_by_map(_roc_auc, heat, inside),
        iou=_by_map(_top_pixels_iou, heat, inside),
        chance=chance_levels(inside, tolerance),
    )


def pointing_game(maps: GivenMaps, mask: given.GivenMask, tolerance: tuple[int, int] = (0, 0)) -> Float[Tensor, " *n"]:
    """1 where a map is largest inside the mask, grown by the tolerance on every side, and 0 where it is outside.

    Where several pixels are largest, it is the share of them that lies inside, as if one were drawn; NaN where all pixels
    are equal (Zhang et al., "Top-down neural attention by excitation backprop", arXiv 1608.00507).

    Raises:
        DataError: as `localisation` does.

    >>> import torch
    >>> mask = torch.tensor([[True, False, False]])
    >>> pointing_game(torch.tensor([[[0.0, 2.0, 1.0]], [[5.0, 0.0, 5.0]]]), mask)
    tensor([0.0000, 0.5000])
    >>> pointing_game(torch.tensor([[[0.0, 2.0, 1.0]]]), mask, tolerance=(0, 1))
    tensor([1.])
    """
    heat, inside = _meant(maps, mask)
    return _by_map(_pointing_game, heat, dilated(inside, tolerance))


def roc_auc(maps: GivenMaps, mask: given.GivenMask) -> Float[Tensor, " *n"]:
    """The area under the ROC curve of a map as a score for the mask; exact, with ties; 0.5 where all pixels are equal.

    It is the share of pairs of one pixel inside and one outside in which the one inside is larger, ties counting half
    (Mann and Whitney's U over the number of pairs). Negative values count for what they are: below zero.

    Raises:
        DataError: as `localisation` does.

    >>> import torch
    >>> roc_auc(torch.tensor([[0.0, 2.0, 1.0, 1.0]]), torch.tensor([[False, True, True, False]]))
    tensor(0.8750)
    """
    return _by_map(_roc_auc, *_meant(maps, mask))


def top_pixels_iou(maps: GivenMaps, mask: given.GivenMask) -> Float[Tensor, " *n"]:
    """Intersection over union of the mask m with the |m| largest pixels of a map.

    Exactly |m| pixels are taken. Where more than that qualify because some are tied, the result is the mean over all ways
    to choose among those: a map of one value gets exactly the chance level.

    Raises:
        DataError: as `localisation` does.

    >>> import torch
    >>> top_pixels_iou(torch.tensor([[0.0, 3.0, 1.0, 2.0]]), torch.tensor([[False, True, True, False]]))
    tensor(0.3333)
    """
    return _by_map(_top_pixels_iou, *_meant(maps, mask))


def chance_levels(mask: Mask, tolerance: tuple[int, int] = (0, 0)) -> Chance:
    """What a map that knows nothing gets, by metric."""
    share, near = float(mask.double().mean()), float(dilated(mask, tolerance).double().mean())
    return Chance(share, near, 0.5, chance_iou(int(mask.sum()), mask.numel()))


def chance_iou(mask_pixels: int, image_pixels: int) -> float:
    """The expected IoU of m given pixels of an image with m drawn at random: `E[J / (2m - J)]`, J hypergeometric.

    >>> round(chance_iou(1, 4), 6)
    0.25
    """
    one, tied = torch.ones(1, dtype=torch.int64), torch.tensor([image_pixels])
    return float(_expected_iou(0 * one, tied, mask_pixels * one, mask_pixels * one, mask_pixels))


def _meant(given_maps: GivenMaps, given_mask: given.GivenMask) -> tuple[Maps, Mask]:
    """Maps and mask as tensors, if there is something to find in them."""
    maps, mask = heatmaps_of(given_maps), given.mask(given_mask)
    if maps.shape[-2:] != mask.shape:
        raise DataError(
            f"the maps are of {tuple(maps.shape[-2:])} pixels, but the mask of {tuple(mask.shape)}; resize one of them"
        )
    marked = int(mask.sum())
    if marked in {0, mask.numel()}:
        raise DataError(
            f"the mask {'covers the whole image' if marked else 'is empty'}, so that there is nothing to find; "
            "give one that marks a part of the image"
        )
    if maps.numel() and not all(bool(extreme.isfinite()) for extreme in maps.aminmax()):
        raise DataError("some of the maps are not finite; look for NaN or infinity in what made them")
    return maps, mask


def _by_map(metric: Callable[[Flat, Flags], Numbers], maps: Maps, mask: Mask) -> Float[Tensor, " *n"]:
    """A metric of flattened maps and a flattened mask, on the processor, a few thousand at a time to bound the memory."""
    flat, mask = maps.detach().cpu().reshape(-1, mask.numel()), mask.cpu()
    parts = [metric(part, mask.flatten()).to(maps.dtype) for part in flat.split(MAPS_AT_ONCE)]
    return torch.cat(parts).view(maps.shape[:-2])


def _counted(flags: Bool[Tensor, "maps pixels"], mask: Flags) -> tuple[Counts, Counts]:
    """How many pixels of each map are flagged, in all and inside the mask; as a product, which is fastest."""
    weights = torch.stack([torch.ones_like(mask), mask], 1).float()
    number, inside = (flags.float() @ weights).long().unbind(1)
    return number, inside


def _pointing_game(maps: Flat, mask: Flags) -> Numbers:
    number, inside = _counted(maps == maps.amax(1, keepdim=True), mask)
    return torch.where(number < len(mask), inside / number, torch.nan)


def _roc_auc(maps: Flat, mask: Flags) -> Numbers:
    """The larger group is sorted, and the places of the smaller one's values are looked up: below, and up to, each."""
    inside, outside = maps[:, mask], maps[:, ~mask]
    swapped = inside.shape[1] > outside.shape[1]
    few, many = (outside, inside) if swapped else (inside, outside)
    ordered = torch.from_numpy(np.sort(many.numpy(), axis=1))  # unlike torch's, it does not keep track of places
    below, up_to = (torch.searchsorted(ordered, few, right=right, out_int32=True).sum(1) for right in (False, True))
    larger = (below + up_to).double() / (2 * few.shape[1] * many.shape[1])
    return 1 - larger if swapped else larger


def _top_pixels_iou(maps: Flat, mask: Flags) -> Numbers:
    wanted = int(mask.sum())
    partly_sorted = np.partition(maps.numpy(), maps.shape[1] - wanted, axis=1)
    threshold = torch.from_numpy(partly_sorted[:, maps.shape[1] - wanted, None])
    (above, above_inside), (tied, tied_inside) = _counted(maps > threshold, mask), _counted(maps == threshold, mask)
    counts = torch.stack([above_inside, tied, tied_inside, wanted - above], 1)
    different, places = counts.unique(dim=0, return_inverse=True)  # far fewer than maps, as a rule
    sure, ties, ties_inside, drawn = different.unbind(1)
    return _expected_iou(sure, ties, ties_inside, drawn, wanted)[places]


def _expected_iou(sure: Counts, tied: Counts, tied_inside: Counts, drawn: Counts, wanted: int) -> Numbers:
    """The mean of `J / (2 wanted - J)` with `J = sure + X`: `drawn` of the `tied` pixels are drawn, X of them inside.

    X is hypergeometric: `P(x) = C(inside, x) C(tied - inside, drawn - x) / C(tied, drawn)`.
    """
    x = torch.arange(wanted + 1)
    inside, tied, drawn = tied_inside[:, None], tied[:, None], drawn[:, None]
    outside = tied - inside
    possible = (x <= inside) & (x <= drawn) & (drawn - x <= outside)
    logarithm = _log_choose(inside, x) + _log_choose(outside, drawn - x) - _log_choose(tied, drawn)
    chance = torch.where(possible, logarithm.exp(), 0.0)
    hits = (sure[:, None] + x).clamp(max=wanted).double()
    return (chance * hits / (2 * wanted - hits)).sum(1)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    """The logarithm of the binomial coefficient; of no use where k does not lie in 0..n."""
    n, k = n.double(), torch.minimum(k.clamp(min=0), n).double()
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
