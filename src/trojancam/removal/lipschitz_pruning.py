"""Channel Lipschitz pruning (Zheng et al., ECCV 2022): maps that a small change of the input moves far are silenced; no data."""

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.network.network import Network
from trojancam.progress import Progress
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.map_weights import maskable, masked, scaling

SPREAD = 3.0  # standard deviations above the mean of a layer; the authors' value for CIFAR-10


def lipschitz(network: Network, layer: str) -> Float[Tensor, " k"]:
    """An upper bound of how far each map of a layer moves with its input.

    `sigma_max(w_k) |gamma_k| / sqrt(var_k)`, w_k the kernel of map k as a matrix of input maps by cells (Zheng et al. 2022);
    without a normalisation after the convolution, the first factor alone.
    """
    kernel = network.parameters[f"{layer}.weight"].detach()
    bound: Tensor = torch.linalg.matrix_norm(kernel.flatten(2), 2)
    scale = scaling(network, layer)[0]
    if scale in network.running_variances:
        bound = bound * network.parameters[scale].detach().abs() / network.running_variances[scale].sqrt()
    return bound


def pruned(network: Network) -> Network:
    """The network without the maps whose bound lies more than 3 standard deviations above the mean of their layer."""
    masks = {}
    for layer in maskable(network):
        bound = lipschitz(network, layer)
        masks[layer] = (bound <= bound.mean() + SPREAD * bound.std()).float()
    return masked(network, masks)


def _work(job: RepairJob, progress: Progress) -> Network:
    found = pruned(job.suspect.network)
    progress(1, 1, "channel Lipschitz pruning")
    return found


LIPSCHITZ_PRUNING = single(
    "Channel Lipschitz pruning", "Zheng et al., ECCV 2022", _work,
    "Uses no image. Without batch normalisation the bound is that of the kernel alone, which says less.",
)  # fmt: skip
