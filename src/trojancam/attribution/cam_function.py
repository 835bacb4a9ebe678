"""A CAM as a function: from a layer's activations and gradients to a weight of each feature map, or of each of its cells."""

import inspect
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.gradients import Split
from trojancam.errors import DataError, TrojanCamError

FeatureMaps = Float[Tensor, "n k h w"]
CAMFunction = Callable[[FeatureMaps, FeatureMaps], Float[Tensor, "n k"] | FeatureMaps]


def split_by(name: str, cam: CAMFunction) -> Callable[[FeatureMaps, FeatureMaps], Split]:
    """What a CAM function says, as contributions `n k h w` and weights `n k`.

    Weights `w_k` become contributions `C_k = w_k A^k`. Contributions have the weights that come closest to them,
    `w_k = sum_ij C^k_ij A^k_ij / sum_ij (A^k_ij)^2`: least squares, 0 for a map without activations.

    Raises:
        TrojanCamError: if it cannot be called with activations and gradients.

    >>> import torch
    >>> split = split_by("mean", lambda activations, gradients: gradients.mean((2, 3)))
    >>> contributions, weights = split(torch.rand(2, 4, 6, 6), torch.rand(2, 4, 6, 6))
    >>> contributions.shape, weights.shape
    (torch.Size([2, 4, 6, 6]), torch.Size([2, 4]))
    """
    _check_callable(name, cam)

    def split(activations: FeatureMaps, gradients: FeatureMaps) -> Split:
        found = cam(activations, gradients)
        _check_result(name, found, activations)
        found = found.detach().to(activations.dtype)
        if found.ndim == 2:
            return found[:, :, None, None] * activations, found
        energy = activations.square().sum((2, 3))
        weights = (found * activations).sum((2, 3)) / energy.where(energy > 0, energy.new_ones(()))
        return found, weights

    return split


def _check_callable(name: str, cam: CAMFunction) -> None:
    try:
        inspect.signature(cam).bind(None, None)
    except TypeError:
        takes = f"{cam!r} takes {_count(cam)}" if callable(cam) else f"is {cam!r}"
        raise TrojanCamError(
            f"the attribution method {name!r} must be a function of two arguments (activations, gradients) or a Method, but "
            f"{takes}"
        ) from None


def _count(function: Callable[..., object]) -> str:
    """How many arguments a function takes, in words."""
    count = len(inspect.signature(function).parameters) if callable(function) else 0
    return {0: "none", 1: "one"}.get(count, str(count))


def _check_result(name: str, found: object, activations: FeatureMaps) -> None:
    whole, weights = tuple(activations.shape), tuple(activations.shape[:2])
    if isinstance(found, Tensor) and tuple(found.shape) in (whole, weights) and found.is_floating_point():
        return
    given = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    raise DataError(
        f"the attribution method {name!r} must return floating-point weights {weights} or contributions {whole}, "
        f"but returned {given}"
    )
