"""ONNX's operations on single elements: activations, arithmetic, comparisons."""

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trojancam.formats.onnx.node import Node, Numbers, Operation
from trojancam.formats.onnx.tensors import FLOATS, TRUTH, WHOLE

_SELU = (1.6732632423543772, 1.0507009873554805)


def _unary(function: Callable[[Any], Any], on_numbers: Callable[[Any], Any] | None = None) -> Operation:
    """An operation of one input, and what it is on a single number."""
    each = np.frompyfunc(on_numbers, 1, 1) if on_numbers else None
    return Operation(
        lambda _, x: function(x),
        on_numbers=(lambda _, x: np.asarray(each(x), dtype=object)) if each else None,
        pointwise=True,
    )


def _binary(function: Callable[[Any, Any], Any], on_numbers: Callable[[Any, Any], Any] | None = None) -> Operation:
    """An operation of two inputs, and what it is on two numbers."""
    each = np.frompyfunc(on_numbers, 2, 1) if on_numbers else None
    return Operation(
        lambda _, x, y: function(x, y),
        on_numbers=(lambda _, x, y: np.asarray(each(x, y), dtype=object)) if each else None,
        pointwise=True,
    )


def _activation(run: Callable[..., Tensor]) -> Operation:
    return Operation(run, pointwise=True)


def _divide(x: Any, y: Any) -> Any:
    """Whole numbers are divided towards zero."""
    whole = all(
        not value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int) for value in (x, y)
    )
    return torch.div(x, y, rounding_mode="trunc") if whole else x / y


def _divide_numbers(x: Any, y: Any) -> Any:
    if isinstance(x, int | torch.SymInt) and isinstance(y, int | torch.SymInt):
        return x // y if y > 0 and x >= 0 else int(x / y)
    return x / y


def _extreme(largest: bool) -> Operation:
    """The largest or smallest of any number of inputs; against a single number, a bound."""

    def pair(x: Any, y: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return torch.maximum(x, y) if largest else torch.minimum(x, y)
        tensor, bound = (x, y) if isinstance(x, Tensor) else (y, x)
        return _bounded(tensor, bound if largest else None, None if largest else bound)

    each = np.frompyfunc(max if largest else min, 2, 1)
    return Operation(
        lambda _, *values: reduce(pair, values),
        on_numbers=lambda _, *values: np.asarray(reduce(each, values), dtype=object),
        pointwise=True,
    )


def _bounded(x: Tensor, low: float | None, high: float | None) -> Tensor:
    if low == 0 and high is None:
        return F.relu(x)
    return x if low is None and high is None else torch.clamp(x, low, high)


def _clip(node: Node, x: Tensor, low: Numbers | None = None, high: Numbers | None = None) -> Tensor:
    if node.opset < 11:
        bounds = [node.attributes.get(name) for name in ("min", "max")]
    else:
        bounds = [bound.item() if bound is not None else None for bound in (low, high)]
    unlimited = (-math.inf, math.inf)
    return _bounded(x, *(None if bound in unlimited else bound for bound in bounds))


def _prelu(_: Node, x: Tensor, slope: Tensor | float) -> Tensor:
    if not isinstance(slope, Tensor):
        return F.leaky_relu(x, slope)
    if slope.ndim == x.ndim - 1 and slope.numel() == slope.shape[0] == x.shape[1]:
        return F.prelu(x, slope.flatten())
    if slope.ndim == x.ndim and slope.numel() == slope.shape[1] == x.shape[1]:
        return F.prelu(x, slope.flatten())
    return torch.where(x >= 0, x, slope * x)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


def _selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.number("alpha", _SELU[0]), node.number("gamma", _SELU[1])
    if math.isclose(alpha, _SELU[0], rel_tol=1e-6) and math.isclose(gamma, _SELU[1], rel_tol=1e-6):
        return F.selu(x)
    return gamma * F.elu(x, alpha)


def _gelu(node: Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh" if node.text("approximate", "none") == "tanh" else "none")


def _swish(node: Node, x: Tensor) -> Tensor:
    alpha = node.number("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


def _cast(node: Node, x: Tensor | float) -> Any:
    to = node.integer("to", 1)
    if not isinstance(x, Tensor):
        return _cast_number(to, x)
    kinds = {
        **dict.fromkeys(FLOATS, torch.float32),
        **dict.fromkeys(WHOLE, torch.int64),
        TRUTH: torch.bool,
    }
    if to not in kinds:
        raise ValueError(f"it converts to a type that is not read (number {to})")
    return x if x.dtype == kinds[to] else x.to(kinds[to])


def _cast_number(to: int, value: Any) -> Any:
    if to in FLOATS:
        return torch.sym_float(value)
    if to in WHOLE:
        return torch.sym_int(value) if not isinstance(value, bool) else int(value)
    return bool(value)


def _cast_numbers(node: Node, values: Numbers) -> Numbers:
    converted = np.empty(values.shape, dtype=object)
    for place, value in enumerate(values.flat):
        converted.flat[place] = _cast_number(node.integer("to", 1), value)
    return converted


def _where_numbers(_: Node, condition: Numbers, x: Numbers, y: Numbers) -> Numbers:
    return np.asarray(np.where(condition.astype(bool), x, y), dtype=object)


def _where(_: Node, condition: Any, x: Any, y: Any) -> Tensor:
    if not isinstance(condition, Tensor):
        raise ValueError("it chooses by a number")
    return torch.where(condition, x, y)


def _modulo(node: Node, x: Any, y: Any) -> Any:
    return torch.fmod(x, y) if node.integer("fmod", 0) else torch.remainder(x, y)


def _sum_of(_: Node, *values: Any) -> Any:
    return reduce(operator.add, values)


def _mean_of(_: Node, *values: Any) -> Any:
    return reduce(operator.add, values) / len(values)


def _same(_: Node, x: Any, *_rest: Any) -> Any:
    return x


POINTWISE: dict[str, Operation] = {
    "Abs": _unary(torch.abs, abs),
    "Add": _binary(operator.add, operator.add),
    "And": _binary(torch.logical_and, lambda x, y: bool(x) and bool(y)),
    "Cast": Operation(_cast, on_numbers=_cast_numbers, pointwise=True),
    "Ceil": _unary(torch.ceil, math.ceil),
    "Celu": _activation(lambda node, x: F.celu(x, node.number("alpha", 1.0))),
    "Clip": Operation(_clip, known=(1, 2), pointwise=True),
    "Cos": _unary(torch.cos),
    "Div": _binary(_divide, _divide_numbers),
    "Dropout": Operation(_same, known=(1, 2), on_numbers=_same, pointwise=True),
    "Elu": _activation(lambda node, x: F.elu(x, node.number("alpha", 1.0))),
    "Equal": _binary(torch.eq, operator.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor, math.floor),
    "Gelu": _activation(_gelu),
    "Greater": _binary(torch.gt, operator.gt),
    "GreaterOrEqual": _binary(torch.ge, operator.ge),
    "HardSigmoid": _activation(_hard_sigmoid),
    "HardSwish": _activation(lambda _, x: F.hardswish(x)),
    "Identity": Operation(_same, on_numbers=_same, pointwise=True),
    "LeakyRelu": _activation(lambda node, x: F.leaky_relu(x, node.number("alpha", 0.01))),
    "Less": _binary(torch.lt, operator.lt),
    "LessOrEqual": _binary(torch.le, operator.le),
    "Log": _unary(torch.log),
    "Max": _extreme(largest=True),
    "Mean": Operation(_mean_of, pointwise=True),
    "Min": _extreme(largest=False),
    "Mish": _activation(lambda _, x: F.mish(x)),
    "Mod": Operation(_modulo, on_numbers=lambda _, x, y: np.asarray(x % y, dtype=object), pointwise=True),
    "Mul": _binary(operator.mul, operator.mul),
    "Neg": _unary(operator.neg, operator.neg),
    "Not": _unary(torch.logical_not, operator.not_),
    "Or": _binary(torch.logical_or, lambda x, y: bool(x) or bool(y)),
    "PRelu": Operation(_prelu, weights={1: "weight"}, pointwise=True),
    "Pow": _binary(torch.pow),
    "Reciprocal": _unary(torch.reciprocal),
    "Relu": _unary(F.relu),
    "Round": _unary(torch.round),
    "Selu": _activation(_selu),
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Softplus": _unary(F.softplus),
    "Softsign": _unary(F.softsign),
    "Sqrt": _unary(torch.sqrt, math.sqrt),
    "Sub": _binary(operator.sub, operator.sub),
    "Sum": Operation(_sum_of, pointwise=True),
    "Swish": _activation(_swish),
    "Tanh": _unary(torch.tanh),
    "ThresholdedRelu": _activation(lambda node, x: F.threshold(x, node.number("alpha", 1.0), 0.0)),
    "Where": Operation(_where, on_numbers=_where_numbers, pointwise=True),
}
