"""Operations: which of the exporter's operations are convolutions, which are activations, and which work cell by cell."""

import operator

import torch

aten = torch.ops.aten

CONVOLUTIONS = {aten.conv2d.default, aten.conv2d.padding, aten.convolution.default}
ACTIVATIONS = {
    aten.relu.default,
    aten.leaky_relu.default,
    aten.prelu.default,
    aten.elu.default,
    aten.celu.default,
    aten.selu.default,
    aten.gelu.default,
    aten.silu.default,
    aten.mish.default,
    aten.softplus.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.hardtanh.default,
    aten.relu6.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.threshold.default,
    aten.rrelu.default,
    aten.log_sigmoid.default,
    aten.clamp.default,
    aten.clamp.Tensor,
    aten.clamp_min.default,
}
ON_THE_WAY = {
    aten._native_batch_norm_legit_no_training.default,
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit.no_stats,
    aten.batch_norm.default,
    aten.group_norm.default,
    aten.instance_norm.default,
    operator.getitem,
    aten.add.Tensor,
    aten.clone.default,
    aten.dropout.default,
}
# On the way as well where all other inputs are weights or plain numbers: a normalisation that is written out.
SCALING = {aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
# What gives each cell of a map a value made of the same cell of its inputs.
CELL_BY_CELL = {
    *ACTIVATIONS,
    *ON_THE_WAY,
    aten.cat.default,
    aten.div.Tensor,
    aten.exp.default,
    aten.mul.Tensor,
    aten.pow.Tensor_Scalar,
    aten.sub.Tensor,
    aten._to_copy.default,
}
