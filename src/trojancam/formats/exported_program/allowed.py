"""Operations that an exported program may use: those that classifiers are made of, and no other name."""

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import torch

# Every one of PyTorch's `aten` by its plain name; it may also work in place (`relu_`).
_ATEN = """
    abs acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d add addcdiv addcmul addmm affine_grid_generator alias all alpha_dropout amax amin any arange
    argmax argmin atan avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bitwise_and bitwise_not bitwise_or bmm
    cat ceil celu channel_shuffle chunk clamp clamp_max clamp_min clone constant_pad_nd contiguous conv1d conv2d
    conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution copy cos cumsum detach detach_ div dropout
    einsum elu embedding empty_like eq erf exp expand expand_as expm1 eye feature_dropout fill flatten flip floor
    floor_divide full full_like gather ge gelu glu grid_sampler grid_sampler_2d group_norm gt hardshrink hardsigmoid
    hardswish hardtanh index index_select instance_norm layer_norm le leaky_relu lift_fresh_copy linalg_vector_norm
    linear log log1p log2 log_sigmoid log_softmax logical_and logical_not logical_or logsumexp lt masked_fill matmul
    max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d maximum mean min minimum mish mm movedim mul mv
    narrow native_batch_norm native_dropout native_group_norm native_layer_norm ne neg new_empty new_full new_ones
    new_zeros norm ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu prod reciprocal
    reflection_pad2d relu relu6 remainder repeat repeat_interleave replication_pad2d reshape rms_norm roll round
    rrelu rsqrt rsub scalar_tensor scaled_dot_product_attention select selu sigmoid sign silu sin slice softmax
    softplus softshrink split split_with_sizes sqrt square squeeze stack std std_mean sub sum swapaxes sym_numel
    sym_size sym_stride t tan tanh threshold tile to topk transpose tril triu type_as unbind unflatten unfold
    unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_nearest2d var var_mean view view_as where zeros
    zeros_like _adaptive_avg_pool2d _log_softmax _native_batch_norm_legit _native_batch_norm_legit_no_training
    _prelu_kernel _safe_softmax _softmax _to_copy _unsafe_view
"""
_ON_SIZES = "add sub mul floordiv mod neg truediv getitem eq ne lt le gt ge and_ or_ not_"
_OF_SIZES = "sym_float sym_int sym_ite sym_max sym_min sym_not"

ATEN = frozenset(re.findall(r"\w+", _ATEN))
PYTHON: dict[str, Callable[..., Any]] = {  # on the sizes of tensors
    **{f"_operator.{name}": getattr(operator, name) for name in re.findall(r"\w+", _ON_SIZES)},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc")},
    **{f"torch.{name}": getattr(torch, name) for name in re.findall(r"\w+", _OF_SIZES) if hasattr(torch, name)},
}
ASSERTION = re.compile(r"torch\.ops\.aten\.(_assert_\w+|sym_constrain_range\w*)\.\w+", re.ASCII)
OPERATION = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)", re.ASCII)


def operation(target: str) -> Callable[..., Any] | None:
    """The operation of this name, None if it is not on the list; only names on it are ever looked up.

    >>> operation("torch.ops.aten.relu.default")
    <OpOverload(op='aten.relu', overload='default')>
    >>> operation("torch.ops.aten.from_file.default")
    >>> operation("torch.os.system")
    """
    if target in PYTHON:
        return PYTHON[target]
    known = OPERATION.fullmatch(target)
    if known is None or not (known[1] in ATEN or (known[1].endswith("_") and known[1][:-1] in ATEN)):
        return None
    packet = getattr(torch.ops.aten, known[1], None)
    if packet is None or known[2] not in packet.overloads():
        return None
    found: Any = getattr(packet, known[2])
    return None if any(argument.is_out for argument in found._schema.arguments) else found


def is_assertion(target: str) -> bool:
    """Whether an operation only checks something, and gives nothing."""
    return ASSERTION.fullmatch(target) is not None
