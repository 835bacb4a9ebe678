"""Methods that edit and look again: every feature map of every image is masked with, or taken away, in large batches.

Both cost one run for each image and feature map: of the whole network for Score-CAM, of the part after the layer for
Ablation-CAM. Runs that are known beforehand are left out: a map that is zero everywhere changes nothing when taken away.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.network.network import Network
from trojancam.network.placement import laid_over
from trojancam.network.recording import LayerRecording
from trojancam.network.replay import replay
from trojancam.network.targets import Target

FeatureMaps = Float[Tensor, "n k h w"]
Weights = Float[Tensor, "n k"]
Logits = Float[Tensor, "m classes"]
Advance = Callable[[int], None]  # called with how many of the n k edited images were dealt with since
Pairs = Int64[Tensor, "m 2"]  # of image and feature map

MASKS = 4  # images, of which a masked image, its mask and what these are made from take the room
ZERO_SCORE = 1e-6


def score_cam(
    network: Network,
    images: Float[Tensor, "n 3 height width"],
    layer: LayerRecording,
    target: Target,
    memory_budget: int,
    advance: Advance,
) -> Weights:
    """Score-CAM: `w = softmax_k y(X * H_k)` with masks `H_k = minmax(Up(A^k))` (arXiv 1910.01279).

    `X` is the normalised input, so that 0, to which masked pixels fall, is the mean colour. `Up` puts each cell where it
    looks, then the mask is stretched to [0, 1]. A map that is the same everywhere points nowhere: its mask is 0.
    """
    inputs, maps = network.inputs(images.detach()), layer.activations
    flat = maps.amax((2, 3)) == maps.amin((2, 3))

    def masked(pairs: Pairs) -> Logits:
        image, number = pairs.unbind(1)
        masks = laid_over(maps[image, number][:, None], layer.placement, network.input.size)
        return network.forward_with(inputs[image] * _stretched_to_one(masks), ())[0]

    with torch.no_grad():
        nothing = network.forward_with(torch.zeros_like(inputs[:1]), ())[0]
        known = target(nothing.expand(len(flat), -1))[:, None].expand(*flat.shape)
        rows = network.rows(memory_budget, beside=MASKS * inputs[0].nbytes)
        return _filled(known, ~flat, masked, target, rows, advance).softmax(1)


def ablation_cam(
    network: Network,
    images: Float[Tensor, "n 3 height width"],
    layer: str,
    logits: Float[Tensor, "n classes"],
    target: Target,
    memory_budget: int,
    advance: Advance,
) -> Weights:
    """Ablation-CAM: `w_k = (y - y_k) / |y|`, where `y_k` is the score with feature map k set to zero (WACV 2020).

    The size of y, not y, divides the drop: a map whose loss lowers a negative score still speaks for it. An image whose
    score is close to zero keeps the drop itself.
    """
    clean = replay(network, layer, images)
    active = (clean.activations != 0).flatten(2).any(2)

    def ablated(pairs: Pairs) -> Logits:
        image, number = pairs.unbind(1)
        edited = clean.activations[image]
        edited[torch.arange(len(pairs), device=image.device), number] = 0
        return clean.edited(edited, image)[0]

    with torch.no_grad():
        score = target(logits)[:, None]
        left = _filled(score.expand(*active.shape), active, ablated, target, clean.rows(memory_budget), advance)
        size = score.abs()
        return (score - left) / size.where(size > ZERO_SCORE, size.new_ones(()))


def _filled(
    known: Weights,
    unknown: Bool[Tensor, "n k"],
    run: Callable[[Pairs], Logits],
    target: Target,
    rows: int,
    advance: Advance,
) -> Weights:
    """The known scores, with those of the unknown pairs of image and feature map run, some rows at a time."""
    scores = known.clone()
    advance(int((~unknown).sum()))
    for pairs in unknown.nonzero().split(rows):
        image, number = pairs.unbind(1)
        scores[image, number] = target.of(image, len(known))(run(pairs))
        advance(len(pairs))
    return scores


def _stretched_to_one(masks: Float[Tensor, "m 1 h w"]) -> Float[Tensor, "m 1 h w"]:
    """From 0 to 1; 0 where a mask is the same everywhere, as when only cells beyond the image's edge differ."""
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low).clamp(min=torch.finfo(masks.dtype).tiny)
