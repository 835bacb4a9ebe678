"""Attention rollout and LeGrad against the module's own blocks in 64 bits, and what they refuse."""

import copy

import pytest
import torch
from tests.nets import SIZE, Transformer, images, network
from tests.network.test_attention import PATCHES, weights_of
from torch import Tensor, nn

from trojancam.attribution import INPUT, METHODS, attribute
from trojancam.attribution.attention_maps import rolled_out
from trojancam.errors import ModelError
from trojancam.evaluation.comparison import compare
from trojancam.network.network import Network
from trojancam.network.targets import logit

REFUSAL = (
    "^attention rollout and LeGrad need blocks in which all tokens attend to all others, and .* has no stream of such blocks; "
    "choose attnlrp or a class activation map$"
)


class Pooled(Transformer):
    """The mean over its patches is read, and no class token."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        n = x.shape[0]
        x = torch.cat([self.before.expand(n, -1, -1), x, self.behind.expand(n, -1, -1)], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 1:13].mean(1))


@pytest.mark.parametrize("read", ["class token", "mean of the patches"])
def test_rollout_is_the_product_of_mean_attention_and_identity(read: str) -> None:
    torch.manual_seed(2)
    module = (Transformer() if read == "class token" else Pooled()).eval()
    net = Network.from_module(module, SIZE)
    inputs = images(3)
    product = torch.eye(14, dtype=torch.float64).expand(3, -1, -1)
    for weights in weights_of(module, net.inputs(inputs)):
        mixed = weights.mean(1) + torch.eye(14, dtype=torch.float64)
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    expected = product[:, 0] if read == "class token" else product[:, PATCHES].mean(1)
    found = attribute(net, inputs, ["attention-rollout"], memory_budget=1)["attention-rollout"][INPUT]
    torch.testing.assert_close(found.map.double(), expected[:, PATCHES].unflatten(-1, (3, 4)), rtol=1e-5, atol=1e-6)
    assert found.placement == net.layer("blocks.0").placement


def test_where_no_token_is_read_all_count() -> None:
    torch.testing.assert_close(
        rolled_out([torch.full((1, 2, 4, 4), 0.25)], torch.zeros(1, 4, dtype=torch.bool)), torch.full((1, 4), 0.25)
    )


def legrad_by_hand(module: nn.Module, inputs: Tensor, classes: list[int]) -> Tensor:
    """Block by block: the end of the network on the block's stream, and the gradient of its score at the attention."""
    module = copy.deepcopy(module).double()
    n = len(inputs)
    x = module.patches(inputs.double()).flatten(2).transpose(1, 2)
    x = torch.cat([module.before.expand(n, -1, -1), x, module.behind.expand(n, -1, -1)], 1) + module.positions
    maps = []
    for block in module.blocks:
        x = x.detach()
        q, k, v = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / 3**0.5).softmax(-1).detach().requires_grad_()
        x = x + block.attn.proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
        score = module.head(module.norm(x)[:, 0])[range(n), classes].sum()
        (gradients,) = torch.autograd.grad(score, weights)
        maps.append(gradients.clamp(min=0).mean((1, 2))[:, PATCHES])
    return torch.stack(maps).mean(0).unflatten(-1, (3, 4))


@pytest.mark.parametrize("budget", [1, 2**28])
def test_legrad_is_the_mean_of_what_raises_the_score_of_each_block(budget: int) -> None:
    module, net = network("transformer")
    inputs, classes = images(3), [2, 0, 1]
    found = attribute(net, inputs, ["legrad"], logit(torch.tensor(classes)), memory_budget=budget)["legrad"][INPUT]
    expected = legrad_by_hand(module, net.inputs(inputs), classes)
    torch.testing.assert_close(found.map.double(), expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("method", ["attention-rollout", "legrad"])
@pytest.mark.parametrize("name", ["plain", "pointwise"])
def test_networks_without_such_blocks_are_refused_in_one_sentence(name: str, method: str) -> None:
    _, net = network(name)
    assert not METHODS[method].works_with(net)
    with pytest.raises(ModelError, match=REFUSAL):
        attribute(net, images(2), ["grad-cam", method])


def test_they_have_road_scores_beside_the_other_methods() -> None:
    _, net = network("transformer")
    found = compare(net, images(2), ["attention-rollout", "legrad", "attnlrp"], ["blocks.0"], faithfulness=["road"])
    assert all(score.isfinite().all() for score in found.scores["road"].values())
