"""Relevance: AttnLRP, layer-wise relevance propagation through attention (Achtibat et al., ICML 2024, arXiv 2402.05602).

Relevance is what a value adds to the score, passed back operation by operation so that its sum is kept. It equals value times
gradient where gradients follow other rules at some operations, which is how it is computed here:

- a product of two values, as of queries and keys or of weights and values: half of the gradient each;
- an activation `f(x)`: `f(x) / x`, so that all relevance is passed on;
- a normalisation: its standard deviation counts as a constant;
- softmax and everything linear: the gradient itself. These are the paper's softmax rule and its epsilon rule, epsilon being 0.

The authors' pictures of ViT use the gamma rule for linear layers, which sharpens maps by a constant for each kind of layer.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

from trojancam.network.network import Network
from trojancam.network.recording import Recording, recorded
from trojancam.network.targets import Target

aten = torch.ops.aten

# Activations that are 0 at 0, so that `f(x) / x` is bounded.
_THROUGH_ZERO = {
    aten.relu.default, aten.leaky_relu.default, aten.prelu.default, aten.elu.default, aten.celu.default,
    aten.selu.default, aten.gelu.default, aten.silu.default, aten.mish.default, aten.tanh.default, aten.relu6.default,
    aten.hardswish.default,
}  # fmt: skip
_PRODUCTS = {aten.matmul.default, aten.bmm.default, aten.mm.default, aten.mul.Tensor}
_SMALL = 1e-6


class Rules(fx.Interpreter):
    """Runs a graph as it is, and lets gradients flow back by the rules of AttnLRP."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation, by its rule if it has one."""
        if target in _THROUGH_ZERO:
            return _passed_on(args[0], super().call_function(target, args, kwargs))
        if target in _PRODUCTS and all(isinstance(each, Tensor) and each.requires_grad for each in args[:2]):
            return super().call_function(target, (_halved(args[0]), _halved(args[1]), *args[2:]), kwargs)
        if target in _RULES:
            return _RULES[target](*args, **kwargs)
        return super().call_function(target, args, kwargs)


def relevance(
    network: Network, images: Float[Tensor, "n 3 height width"], layers: tuple[str, ...], target: Target
) -> Recording:
    """As `record`, with gradients by the rules of AttnLRP: activations times these are relevance."""
    with torch.inference_mode(False), torch.enable_grad():
        inputs = network.inputs(images.detach().clone()).requires_grad_()
        logits, activations = network.forward_with(inputs, layers, rules=Rules)
        return recorded(network, logits, dict(zip(layers, activations, strict=True)), target)


def _passed_on(values: Tensor, results: Tensor) -> Tensor:
    """`f(x)`, with the gradient `f(x) / x`; at 0, where nothing is to be passed on, none."""
    share = torch.where(values.abs() > _SMALL, results / values.where(values.abs() > _SMALL, 1.0), 0.0).detach()
    return results.detach() + share * (values - values.detach())


def _halved(values: Tensor) -> Tensor:
    """The same values, with half of the gradient."""
    return values.detach() + (values - values.detach()) / 2


def _attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention in its parts: both of its products share their relevance evenly."""
    if enable_gqa:
        keys, values = (each.repeat_interleave(queries.shape[-3] // each.shape[-3], -3) for each in (keys, values))
    scores = _halved(queries) @ _halved(keys).transpose(-2, -1)
    scores = scores * (queries.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
    return _halved(scores.softmax(-1)) @ _halved(values)


def _layer_norm(
    values: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    _cudnn: bool = True,
) -> Tensor:
    axes = tuple(range(-len(shape), 0))
    centred = values - values.mean(axes, keepdim=True)
    spread = (values.var(axes, unbiased=False, keepdim=True) + eps).sqrt().detach()
    return _scaled(centred / spread, weight, bias)


def _rms_norm(values: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    axes = tuple(range(-len(shape), 0))
    least = torch.finfo(values.dtype).eps if eps is None else eps
    return _scaled(values / (values.square().mean(axes, keepdim=True) + least).sqrt().detach(), weight, None)


def _scaled(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    values = values if weight is None else values * weight
    return values if bias is None else values + bias


_RULES: dict[Any, Callable[..., Tensor]] = {
    aten.scaled_dot_product_attention.default: _attention,
    aten.layer_norm.default: _layer_norm,
    aten.rms_norm.default: _rms_norm,
}
