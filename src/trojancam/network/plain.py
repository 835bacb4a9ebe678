"""Plain: the values of a tensor alone. Whoever looks for a backdoor is given these, so that nothing tells what is to be found."""

import torch
from torch import Tensor

from trojancam.network.devices import CPU


def plain(values: Tensor, device: torch.device = CPU) -> Tensor:
    """A copy of the values on a device: no attribute, subclass or gradient of the tensor comes along.

    >>> values = torch.ones(2)
    >>> values.secret = "trigger"
    >>> vars(plain(values))
    {}
    """
    return torch.from_numpy(values.detach().cpu().numpy().copy()).to(device)
