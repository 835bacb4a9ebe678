"""Attention maps: attention rollout and LeGrad, which explain a transformer by the weights of its attention alone.

Both give one map of the patches for the whole network. They need blocks in which every token attends to every other one, one
after the other on one residual stream, as in ViT and DeiT.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.network.attention import Attending
from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.network.placement import Placement
from trojancam.network.targets import Target

Weights = Float[Tensor, "n heads tokens tokens"]
OfTokens = Float[Tensor, "n tokens"]


def check_blocks(network: Network) -> None:
    """Refuse a network whose attention cannot be followed from block to block.

    Raises:
        ModelError: if it has no attention of all tokens to all tokens, or not on one residual stream.
    """
    if not network.attention.one_stream:
        raise ModelError(
            f"attention rollout and LeGrad need blocks in which all tokens attend to all others, and {network.name} has no "
            "stream of such blocks; choose attnlrp or a class activation map"
        )


def placement(network: Network) -> Placement:
    """Where the patches lie in the image."""
    return network.attention.blocks[0].grid.placement


def rollout(
    network: Network, images: Float[Tensor, "n 3 height width"], target: Target, memory_budget: int
) -> Float[Tensor, "n h w"]:
    """Attention rollout: `A_L' ... A_1'` with `A' = (A + I) / 2` and A the mean over the heads (arXiv 2005.00928).

    The map is the mean over the tokens that the score is read from: the class token, or all patches. They are those of whose
    last attention the score depends. Which class is explained makes no other difference.

    Raises:
        ModelError: as `check_blocks`.
    """

    def of_a_batch(inputs: Tensor, score: Target) -> OfTokens:
        logits, weights, _ = network.attention(inputs)
        (gradients,) = torch.autograd.grad(score(logits).sum(), weights[-1])
        return rolled_out([each.detach() for each in weights], (gradients != 0).flatten(3).any(3).any(1))

    return _batch_by_batch(network, images, target, memory_budget, of_a_batch)


def rolled_out(weights: list[Weights], read: Bool[Tensor, "n tokens"]) -> OfTokens:
    """What the tokens that are read take from each token, through all blocks; of the last block's, if none are.

    >>> one, other = torch.eye(2)[None, None], torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    >>> rolled_out([one, other], torch.tensor([[True, False]]))
    tensor([[0.5000, 0.5000]])
    """
    rows = read.to(weights[0].dtype)
    rows = torch.where(rows.sum(1, keepdim=True) > 0, rows, 1.0)
    rows = rows / rows.sum(1, keepdim=True)
    for block in reversed(weights):
        rows = (rows + torch.einsum("nq,nqk->nk", rows, block.mean(1))) / 2
    return rows


def legrad(
    network: Network, images: Float[Tensor, "n 3 height width"], target: Target, memory_budget: int
) -> Float[Tensor, "n h w"]:
    """LeGrad: the mean over blocks, heads and queries of `ReLU(ds_l / dA_l)` (Bousselham et al., arXiv 2404.03214).

    `s_l` is the score that the end of the network gives the stream behind block l, as if it were the last one; `A_l` are the
    weights of the block's attention. The authors scale each map to [0, 1] afterwards; here it keeps its unit, as all maps do.

    Raises:
        ModelError: as `check_blocks`.
    """

    def of_a_batch(inputs: Tensor, score: Target) -> OfTokens:
        attending = network.attention
        _, weights, streams = attending(inputs)
        found = []
        for block, stream in zip(weights, streams, strict=True):
            value = score(attending.logits_of(stream)).sum()
            (gradients,) = torch.autograd.grad(value, block, retain_graph=True)
            found.append(gradients.relu().mean((1, 2)))
        return torch.stack(found).mean(0)

    return _batch_by_batch(network, images, target, memory_budget, of_a_batch)


def _batch_by_batch(
    network: Network,
    images: Float[Tensor, "n 3 height width"],
    target: Target,
    memory_budget: int,
    of_a_batch: Callable[[Tensor, Target], OfTokens],
) -> Float[Tensor, "n h w"]:
    """What a function of inputs and their score says of each patch, as many images at a time as fit."""
    check_blocks(network)
    attending: Attending = network.attention
    grid = attending.blocks[0].grid
    beside = network.input.bytes_per_image
    rows = attending.footprint.plus(beside).rows(memory_budget, gradients=True, device=network.device)
    found = []
    for part in parts(len(images), rows):
        own = torch.arange(part.start, part.stop, device=network.device)
        with torch.inference_mode(False), torch.enable_grad():
            inputs = network.inputs(images[part].detach().clone()).requires_grad_()
            found.append(of_a_batch(inputs, target.of(own, len(images))))
    of_patches = torch.cat(found)[:, grid.start : grid.start + grid.patches]
    maps: Tensor = of_patches.unflatten(1, grid.size)
    return maps
