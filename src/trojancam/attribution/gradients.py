"""Methods that follow gradients: from activations `A^k` and gradients `g^k` of a layer to signed contributions `C_k`.

All have the form `sum_k (weight of k) A^k`; they differ in the weight. One recording serves them all. `S_k = sum_ij A^k_ij`
below; a map is over Z cells. Each function returns the contributions `n k h w` and the weights `n k`.
"""

from jaxtyping import Float
from torch import Tensor

FeatureMaps = Float[Tensor, "n k h w"]
Weights = Float[Tensor, "n k"]
Split = tuple[FeatureMaps, Weights]

CANCELLED = 1e-6  # |S_k| below this share of sum_ij |A^k_ij| is what rounding leaves of activations that cancel out


def grad_cam(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
    """Grad-CAM: `w_k = (1/Z) sum_ij g^k_ij` (arXiv 1610.02391)."""
    return _weighted(activations, gradients.mean((2, 3)))


def grad_cam_plus_plus(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
    """Grad-CAM++: `w_k = sum_ij alpha^k_ij ReLU(g^k_ij)` with `alpha = g^2 / (2 g^2 + S_k g^3)` (arXiv 1710.11063, eq. 19).

    Cancelled by `g^2`, that is `w_k = sum_{g>0} g / (2 + S_k g)`: no epsilon is needed, and none swallows small gradients.
    The derivation takes activations after a ReLU. Where others make `S_k` negative, the denominator would run through
    zero; such an `S_k` counts as 0, which keeps `alpha` in (0, 1/2], as it is after a ReLU.
    """
    positive = gradients.relu()
    total = activations.sum((2, 3), keepdim=True).clamp(min=0)
    return _weighted(activations, (positive / (2 + total * positive)).sum((2, 3)))


def hires_cam(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
    """HiResCAM: `C_k = g^k * A^k`, cell by cell (arXiv 2011.08891); `weights` are the means of the gradients."""
    return gradients * activations, gradients.mean((2, 3))


def layer_cam(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
    """LayerCAM: `C_k = ReLU(g^k) * A^k`, cell by cell (IEEE TIP 2021); `weights` are the means of `ReLU(g^k)`."""
    positive = gradients.relu()
    return positive * activations, positive.mean((2, 3))


def xgrad_cam(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
    """XGrad-CAM: `w_k = sum_ij g^k_ij A^k_ij / S_k` (arXiv 2008.02312).

    A map whose activations are zero, or cancel out, has no such weight: it counts as 0.
    """
    total, size = activations.sum((2, 3)), activations.abs().sum((2, 3))
    defined = total.abs() > CANCELLED * size
    weights = (gradients * activations).sum((2, 3)) / total.where(defined, total.new_ones(()))
    return _weighted(activations, weights.where(defined, weights.new_zeros(())))


def gradient_x_activation(activations: FeatureMaps, gradients: FeatureMaps) -> Float[Tensor, "n h w"]:
    """Gradient x activation: `|sum_k g^k * A^k|`, a baseline; cells that speak against the score count as much."""
    return (gradients * activations).sum(1).abs()


def _weighted(activations: FeatureMaps, weights: Weights) -> Split:
    return weights[:, :, None, None] * activations, weights
