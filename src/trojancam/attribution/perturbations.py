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
from trojancam.network.targets import Target

FeatureMaps = Float[Tensor, "n k h w"]
Weights = Float[Tensor, "n k"]
Logits = Float[Tensor, "m classes"]
Advance = Callable[[int], None]  # called with how many of the n k edited images were dealt with since
Pairs = Int64[Tensor, "m 2"]  # of image and feature map

ROWS = 64  # more edited images at a time fall out of the processor's cache: the same work takes twice as long
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
    inputs, maps = network.input.normalise(images.detach()), layer.activations
    flat = maps.amax((2, 3)) == maps.amin((2, 3))

    def masked(pairs: Pairs) -> Logits:
        image, number = pairs.unbind(1)
        masks = laid_over(maps[image, number][:, None], layer.placement, network.input.size)
        return network.forward_with(inputs[image] * _stretched_to_one(masks), ())[0]

    with torch.no_grad():
        nothing = network.forward_with(torch.zeros_like(inputs[:1]), ())[0]
        known = nothing[:, None].expand(*flat.shape, -1)
        logits = _filled(known, ~flat, masked, rows_at_a_time(memory_budget, _bytes_of_a_run(network)), advance)
        return _scores(target, logits).softmax(1)


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
    cut = network.cut(layer)
    activations, *crossing = cut.before(images)
    active = (activations != 0).flatten(2).any(2)

    def ablated(pairs: Pairs) -> Logits:
        image, number = pairs.unbind(1)
        edited = activations[image]
        edited[torch.arange(len(pairs)), number] = 0
        return cut.after(edited, [value[image] for value in crossing])[0]

    with torch.no_grad():
        known = logits[:, None].expand(*active.shape, -1)
        left = _filled(known, active, ablated, rows_at_a_time(memory_budget, cut.bytes_per_image), advance)
        score = target(logits)[:, None]
        size = score.abs()
        return (score - _scores(target, left)) / size.where(size > ZERO_SCORE, size.new_ones(()))


def _filled(
    known: Float[Tensor, "n k classes"],
    unknown: Bool[Tensor, "n k"],
    run: Callable[[Pairs], Logits],
    rows: int,
    advance: Advance,
) -> Float[Tensor, "n k classes"]:
    """The known logits, with those of the unknown pairs of image and feature map run, some rows at a time."""
    logits = known.clone()
    advance(int((~unknown).sum()))
    for pairs in unknown.nonzero().split(rows):
        logits[pairs[:, 0], pairs[:, 1]] = run(pairs)
        advance(len(pairs))
    return logits


def _scores(target: Target, logits: Float[Tensor, "n k classes"]) -> Weights:
    """The score of every pair; map by map, for a target may want a class of its own for each image."""
    return torch.stack([target(each) for each in logits.unbind(1)], 1)


def _stretched_to_one(masks: Float[Tensor, "m 1 h w"]) -> Float[Tensor, "m 1 h w"]:
    """From 0 to 1; 0 where a mask is the same everywhere, as when only cells beyond the image's edge differ."""
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low).clamp(min=torch.finfo(masks.dtype).tiny)


def rows_at_a_time(memory_budget: int, bytes_per_row: int, most: int = ROWS) -> int:
    """How many edited images go through at a time."""
    return max(1, min(most, memory_budget // bytes_per_row))


def _bytes_of_a_run(network: Network) -> int:
    """What the whole network holds for one image: its first convolution and what follows, the image and its mask."""
    height, width = network.input.size
    first = next(iter(network.layers))
    return network.cut(first, at="conv").bytes_per_image + 4 * 7 * height * width
