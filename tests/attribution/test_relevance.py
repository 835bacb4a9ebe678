"""AttnLRP against relevance that is passed back by hand in 64 bits, operation by operation, and its sum."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.nets import images, network
from torch import Tensor, nn

from trojancam.attribution import attribute
from trojancam.attribution.relevance import relevance
from trojancam.network.targets import logit


def through_dense(values: Tensor, layer: nn.Linear, given: Tensor) -> Tensor:
    """`R_i = x_i sum_j w_ji R_j / y_j`, the epsilon rule with epsilon 0."""
    return values * (given / layer(values) @ layer.weight)


def through_norm(values: Tensor, norm: nn.LayerNorm, given: Tensor) -> Tensor:
    """The same of a normalisation, a linear map once its standard deviation is a number."""
    spread = (values.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    width = values.shape[-1]
    matrix = torch.diag(norm.weight) @ (torch.eye(width, dtype=values.dtype) - 1 / width)
    return values * (given / norm(values) / spread @ matrix)


def through_attention(values: Tensor, attn: nn.Module, given: Tensor) -> Tensor:
    """Back through the output, both products and the softmax to what attention was given."""
    out = attn.qkv(values)
    q, k, v = out.unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-2, -1) / 3**0.5
    weights = scores.softmax(-1)
    mixed = weights @ v
    flat = mixed.transpose(1, 2).flatten(2)
    of_mixed = through_dense(flat, attn.proj, given).unflatten(-1, (2, 3)).transpose(1, 2)
    share = of_mixed / mixed
    of_weights, of_v = weights * (share @ v.transpose(-2, -1)) / 2, v * (weights.transpose(-2, -1) @ share) / 2
    of_scores = scores * (of_weights - weights * of_weights.sum(-1, keepdim=True))  # the paper's softmax rule
    ratio = of_scores / scores
    of_q = q * (ratio @ k) / 3**0.5 / 2
    of_k = k * (ratio.transpose(-2, -1) @ q) / 3**0.5 / 2
    of_out = torch.stack([of_q, of_k, of_v]).permute(1, 3, 0, 2, 4).flatten(2)
    return through_dense(values, attn.qkv, of_out)


def of_the_stream_behind_the_first_block(module: nn.Module, inputs: Tensor, own: int) -> Tensor:
    module = copy.deepcopy(module).double()
    n = len(inputs)
    x = module.patches(inputs.double()).flatten(2).transpose(1, 2)
    x = torch.cat([module.before.expand(n, -1, -1), x, module.behind.expand(n, -1, -1)], 1) + module.positions
    stream = module.blocks[0](x)
    block = module.blocks[1]
    attended = block.attn(block.norm1(stream))
    middle = stream + attended
    normed = block.norm2(middle)
    hidden = block.mlp.fc1(normed)
    last = middle + block.mlp.fc2(F.gelu(hidden))
    logits = module.head(module.norm(last)[:, 0])

    row = F.one_hot(torch.tensor([own] * n), logits.shape[1]).double() * logits
    of_normed = torch.zeros_like(last)
    of_normed[:, 0] = through_dense(module.norm(last)[:, 0], module.head, row)
    of_last = through_norm(last, module.norm, of_normed)
    of_branch = of_last * (last - middle) / last
    of_hidden = through_dense(F.gelu(hidden), block.mlp.fc2, of_branch)  # identity through the activation
    of_middle = of_last * middle / last
    of_middle = of_middle + through_norm(middle, block.norm2, through_dense(normed, block.mlp.fc1, of_hidden))
    found = of_middle * stream / middle
    given = block.norm1(stream)
    passed = through_attention(given, block.attn, of_middle * attended / middle)
    return (found + through_norm(stream, block.norm1, passed)).detach()


def test_relevance_of_tokens_is_what_is_passed_back_by_hand() -> None:
    module, net = network("transformer")
    inputs = images(3)
    found = attribute(net, inputs, ["attnlrp"], logit(2), ["blocks.0"])["attnlrp"]["blocks.0"]
    by_hand = of_the_stream_behind_the_first_block(module, net.inputs(inputs), 2)
    expected = by_hand[:, 1:13].transpose(1, 2).unflatten(-1, (3, 4))
    torch.testing.assert_close(found.contributions.double(), expected, rtol=1e-3, atol=1e-6)


def by_lxt(module: nn.Module, inputs: Tensor, own: int) -> Tensor:
    """The same relevance by the package of the method's authors: what its operations pass back in place of gradients."""
    lxt = pytest.importorskip("lxt.explicit.functional", reason="pip install --no-deps lxt")
    module = copy.deepcopy(module).double()
    block, heads = module.blocks[1], 2

    def dense(values: Tensor, layer: nn.Linear) -> Tensor:
        return lxt.linear_epsilon(values, layer.weight, layer.bias, 0.0)

    def norm(values: Tensor, layer: nn.LayerNorm) -> Tensor:
        return lxt.layer_norm(values, layer.weight, layer.bias, layer.eps)

    def passed_on(values: Tensor, factor: Tensor) -> Tensor:
        return lxt.mul2(values, factor.detach())  # the identity rule, for a factor that needs no gradient

    x = module.patches(inputs.double()).flatten(2).transpose(1, 2)
    n = len(x)
    x = torch.cat([module.before.expand(n, -1, -1), x, module.behind.expand(n, -1, -1)], 1) + module.positions
    stream = module.blocks[0](x).detach().requires_grad_()
    q, k, v = dense(norm(stream, block.norm1), block.attn.qkv).unflatten(-1, (3, heads, 3)).permute(2, 0, 3, 1, 4)
    scores = lxt.matmul(q, k.transpose(-2, -1), epsilon=0.0)
    weights = lxt.softmax(passed_on(scores, torch.full_like(scores, 3**-0.5)), -1)
    mixed = lxt.matmul(weights, v, epsilon=0.0).transpose(1, 2).flatten(2)
    middle = lxt.add2(stream, dense(mixed, block.attn.proj), epsilon=0.0)
    hidden = dense(norm(middle, block.norm2), block.mlp.fc1)
    branch = dense(passed_on(hidden, F.gelu(hidden) / hidden), block.mlp.fc2)
    logits = dense(norm(lxt.add2(middle, branch, epsilon=0.0), module.norm)[:, 0], module.head)[:, own]
    found: Tensor = torch.autograd.grad(logits, stream, logits.detach())[0]
    return found


def test_relevance_of_tokens_is_what_the_authors_package_gives() -> None:
    module, net = network("transformer")
    inputs = images(3)
    found = attribute(net, inputs, ["attnlrp"], logit(2), ["blocks.0"])["attnlrp"]["blocks.0"]
    expected = by_lxt(module, net.inputs(inputs), 2)[:, 1:13].transpose(1, 2).unflatten(-1, (3, 4))
    torch.testing.assert_close(found.contributions.double(), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "normed", "residual"])
def test_where_activations_cut_at_zero_it_is_hirescam(name: str) -> None:
    _, net = network(name)
    one, other = (
        attribute(net, images(2, size=net.input.size), [method], logit(1))[method] for method in ("attnlrp", "hirescam")
    )
    for layer, attribution in one.items():
        torch.testing.assert_close(attribution.contributions, other[layer].contributions, rtol=1e-4, atol=1e-6)


def test_logits_are_those_of_the_network_and_all_layers_share_one_run() -> None:
    for name in ("transformer", "pointwise", "depthwise"):
        _, net = network(name)
        found = relevance(net, images(2), tuple(net.layers), logit(0))
        torch.testing.assert_close(found.logits, net(images(2)), rtol=1e-5, atol=1e-6)
        assert list(found.layers) == list(net.layers)
