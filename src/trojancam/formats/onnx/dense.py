"""ONNX's layers without windows: dense ones, normalisations, softmax, and what reduces an axis to one number."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trojancam.formats.onnx.node import Node, Numbers, Operation, as_numbers, listed

_DENSE = {1: "weight", 2: "bias"}


def _dense(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """ONNX's Gemm: `alpha x weight + beta bias`, either matrix transposed."""
    x = x.t() if node.integer("transA", 0) else x
    weight = weight if node.integer("transB", 0) else weight.t()
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if bias is None or (alpha == beta == 1 and bias.ndim == 1):
        result = F.linear(x, weight, bias if alpha == 1 else None)
        return result if alpha == 1 else alpha * result
    return alpha * F.linear(x, weight) + beta * bias


def _product(_: Node, x: Tensor, y: Tensor) -> Tensor:
    """A matrix product; with a matrix of weights, a dense layer."""
    if x.ndim >= 2 and y.ndim == 2:
        return F.linear(x, y.t())
    return torch.matmul(x, y)


def _batch_normalisation(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    if node.integer("training_mode", 0):
        raise ValueError("it normalises by the batch it is given, as in training; export the network for inference")
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.number("epsilon", 1e-5))


def _instance_normalisation(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.number("epsilon", 1e-5))


def _group_normalisation(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.count("num_groups", 1)
    if scale.numel() == groups and groups != x.shape[1]:  # until operator set 20, one number for each group
        scale, bias = (values.repeat_interleave(int(x.shape[1]) // groups) for values in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.number("epsilon", 1e-5))


def _layer_normalisation(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    shape, epsilon = list(x.shape[_axis(node.integer("axis", -1), x.ndim) :]), node.number("epsilon", 1e-5)
    if list(scale.shape) == shape:
        return F.layer_norm(x, shape, scale, bias, epsilon)
    result = F.layer_norm(x, shape, eps=epsilon) * scale
    return result if bias is None else result + bias


def _local_response(node: Node, x: Tensor) -> Tensor:
    size = node.count("size", 0)
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    if size >= 2**16 or x.ndim != 4:
        raise ValueError(f"it normalises over {size} of the maps")
    squares = F.pad(x.square(), (0, 0, 0, 0, (size - 1) // 2, size // 2)).unsqueeze(1)
    means = F.avg_pool3d(squares, (size, 1, 1), stride=1).squeeze(1)
    return x / (means * alpha + bias).pow(beta)


def _lp_normalisation(node: Node, x: Tensor) -> Tensor:
    return F.normalize(x, float(node.integer("p", 2)), node.integer("axis", -1))


def _softmax(function: Callable[..., Tensor]) -> Operation:
    """Until operator set 12 all axes from the given one on were one."""

    def run(node: Node, x: Tensor) -> Tensor:
        axis = _axis(node.integer("axis", -1 if node.opset >= 13 else 1), x.ndim)
        if node.opset >= 13 or axis == x.ndim - 1:
            return function(x, axis)
        return function(x.flatten(axis), axis).reshape(x.shape)

    return Operation(run)


def _axis(axis: int, axes: int) -> int:
    if not -axes <= axis < axes:
        raise ValueError(f"it names the axis {axis} of {axes}")
    return axis % axes


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operation:
    """Axes to one number each: the axes are an attribute or, later, an input."""

    def run(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
        given = listed(axes) if axes is not None else node.integers("axes", [])
        if not given and node.integer("noop_with_empty_axes", 0):
            return x
        places = [_axis(axis, x.ndim) for axis in given or range(x.ndim)]
        return function(x, places, bool(node.integer("keepdims", 1)))

    def on_numbers(node: Node, x: Numbers, axes: Numbers | None = None) -> Numbers:
        reduced = run(node, torch.arange(x.size).reshape(x.shape), axes)  # which axes are left
        if reduced.numel() != 1 or function is not _multiplied:
            raise ValueError("it is no product of all numbers")
        product: Any = 1
        for value in x.flat:
            product = product * value
        return as_numbers([product]).reshape(tuple(reduced.shape))

    return Operation(run, known=(1,), on_numbers=on_numbers)


def _multiplied(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keep)
    return x


def _over_the_cells(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operation:
    return Operation(lambda _, x: function(x, list(range(2, x.ndim)), True), foldable=False)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keep)


def _largest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.amax(axes, keep)


LAYERS: dict[str, Operation] = {
    "BatchNormalization": Operation(
        _batch_normalisation,
        weights={1: "weight", 2: "bias"},
        statistics={3: "running_mean", 4: "running_var"},
        foldable=False,
    ),
    "Gemm": Operation(_dense, weights=_DENSE, foldable=False),
    "GlobalAveragePool": _over_the_cells(_mean),
    "GlobalMaxPool": _over_the_cells(_largest),
    "GroupNormalization": Operation(_group_normalisation, weights=_DENSE, foldable=False),
    "InstanceNormalization": Operation(_instance_normalisation, weights=_DENSE, foldable=False),
    "LRN": Operation(_local_response, foldable=False),
    "LayerNormalization": Operation(_layer_normalisation, weights=_DENSE, foldable=False),
    "LogSoftmax": _softmax(F.log_softmax),
    "LpNormalization": Operation(_lp_normalisation),
    "MatMul": Operation(_product, weights={1: "weight"}, foldable=False),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceLogSumExp": _reduction(lambda x, axes, keep: x.logsumexp(axes, keep)),
    "ReduceMax": _reduction(_largest),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceProd": _reduction(_multiplied),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Softmax": _softmax(F.softmax),
}
