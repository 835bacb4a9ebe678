"""Draws: random numbers for tensors, the same on every device. They are drawn on the processor, and then moved."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.devices import CPU


class Draws:
    """Random numbers of one seed, one after the other, handed out on a device.

    >>> one, other = Draws(0), Draws(0)
    >>> torch.equal(one.uniform(5), torch.cat([other.uniform(2), other.uniform(3)]))
    True
    """

    def __init__(self, seed: int, device: torch.device = CPU) -> None:
        self.device = device
        self._generator = torch.Generator(device="cpu").manual_seed(seed)

    def uniform(self, *shape: int) -> Float[Tensor, "..."]:
        """Numbers in [0, 1)."""
        return torch.rand(shape, generator=self._generator, device="cpu").to(self.device)

    def permutation(self, count: int) -> Int64[Tensor, " count"]:
        """The numbers from 0 on, in a random order."""
        return torch.randperm(count, generator=self._generator, device="cpu").to(self.device)
