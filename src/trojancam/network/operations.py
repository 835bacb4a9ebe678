"""Operations: which of the exporter's operations are convolutions, which are activations, and which work cell by cell."""

import operator

import torch

aten = torch.ops.aten

CONVOLUTIONS = {aten.conv2d.default, aten.conv2d.padding, aten.convolution.default, aten.conv_transpose2d.input}
PRODUCTS = {
    aten.linear.default, aten.addmm.default, aten.mm.default, aten.matmul.default, aten.bmm.default,
}  # fmt: skip
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
    aten.exp.default,
    aten.hardshrink.default,
    aten.softshrink.default,
}
BATCH_NORMALISATIONS = {
    aten.batch_norm.default,
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit_no_training.default,
}
ON_THE_WAY = {
    *BATCH_NORMALISATIONS,
    aten._native_batch_norm_legit.no_stats,
    aten.group_norm.default,
    aten.instance_norm.default,
    operator.getitem,
    aten.add.Tensor,
    aten.clone.default,
    aten.dropout.default,
}
# On the way as well where all other inputs are weights or plain numbers: a normalisation that is written out.
SCALING = {aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
# What activations are made of where they are written out: `x / (1 + |x|)`.
ELEMENT_BY_ELEMENT = {
    *ACTIVATIONS,
    *SCALING,
    aten.abs.default,
    aten.add.Tensor,
    aten.erf.default,
    aten.ge.Scalar,
    aten.gt.Scalar,
    aten.le.Scalar,
    aten.log.default,
    aten.log1p.default,
    aten.lt.Scalar,
    aten.maximum.default,
    aten.minimum.default,
    aten.neg.default,
    aten.pow.Tensor_Scalar,
    aten.reciprocal.default,
    aten.rsqrt.default,
    aten.rsub.Scalar,
    aten.sign.default,
    aten.sqrt.default,
    aten.square.default,
    aten.where.ScalarOther,
    aten.where.ScalarSelf,
    aten.where.self,
    aten._to_copy.default,
}
# What gives each cell of a map a value made of the same cell of its inputs.
CELL_BY_CELL = {*ELEMENT_BY_ELEMENT, *ON_THE_WAY, aten.cat.default}
