"""Eigen-CAM: what a layer's activations have most in common, whatever the score."""

import torch
from jaxtyping import Float
from torch import Tensor

UNDECIDED = 1e-9


def eigen_cam(activations: Float[Tensor, "n k h w"]) -> Float[Tensor, "n h w"]:
    """The first principal component of a layer's cells: `X v` (arXiv 2008.00299), `n h w`, signed.

    `X`, cells by feature maps, has its columns centred; `v` is its first right singular vector. A singular vector's sign is
    arbitrary, and the ReLU for display would clip the object away where it comes out wrong. Here the component rises
    with the layer's activity: `sum_ij (X v)_ij sum_k X_ij,k > 0`, which is to say `sum_k v_k > 0`. So heat means "more
    active than on average". Where that is undecided, the greatest cell is positive.

    The product is one symmetric eigenvalue problem for each image, of cells or feature maps, whichever are fewer,
    in double precision.
    """
    columns = activations.flatten(2).transpose(1, 2).double()
    columns = columns - columns.mean(1, keepdim=True)
    component = _component(columns)
    signed = component * _sign(component, columns.sum(2))[:, None]
    return signed.to(activations.dtype).reshape(len(activations), *activations.shape[2:])


def _component(columns: Float[Tensor, "n z k"]) -> Float[Tensor, "n z"]:
    """The projection of each cell on the direction of the greatest variance, up to its sign."""
    cells, maps = columns.shape[1:]
    if maps <= cells:
        _, directions = _eigen(columns.mT @ columns)
        return (columns @ directions[:, :, -1:])[:, :, 0]
    values, components = _eigen(columns @ columns.mT)
    return components[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()


def _eigen(symmetric: Float[Tensor, "n m m"]) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m m"]]:
    """Eigenvalues, the greatest last, and eigenvectors as columns."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values, vectors


def _sign(component: Float[Tensor, "n z"], activity: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
    agreement = (component * activity).sum(1)
    greatest = component.gather(1, component.abs().argmax(1, keepdim=True))[:, 0]
    lengths = component.square().sum(1).sqrt() * activity.square().sum(1).sqrt()
    return greatest.where(agreement.abs() <= UNDECIDED * lengths, agreement).sign()
