"""Replay: a layer's activations of clean images, edited in many ways and run on through the rest of the network.

Only this file runs edited activations through the part of a network after a layer. The part before it is run once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.batches import BUDGET, Gathered, parts
from trojancam.network.cut import Cut
from trojancam.network.network import Network
from trojancam.showing import Brief

Activations = Float[Tensor, "n k h w"]
Logits = Float[Tensor, "m classes"]


@dataclass(frozen=True)
class Replay(Brief):
    """A network cut at a layer: the clean activations of images there, `n k h w`, and what else crosses the cut."""

    cut: Cut
    activations: Activations
    crossing: tuple[Tensor, ...]

    def __len__(self) -> int:
        """How many clean images there are."""
        return len(self.activations)

    def of(self, images: slice) -> "Replay":
        """The same with some of the images only."""
        return Replay(self.cut, self.activations[images], tuple(value[images] for value in self.crossing))

    def peaks(self) -> Float[Tensor, " k"]:
        """The largest activation of each feature map over images and cells."""
        return self.activations.amax((0, 2, 3))

    def rows(self, budget: int = BUDGET, *, gradients: bool = False) -> int:
        """How many edited rows fit into a budget of bytes, what crosses the cut beside them counted in."""
        beside = sum(value[0].numel() * value.element_size() for value in (self.activations, *self.crossing))
        return self.cut.footprint.plus(beside).rows(budget, gradients=gradients, device=self.cut.device)

    def variants_at_once(self, budget: int = BUDGET, *, gradients: bool = False) -> int:
        """How many variants of all the images fit into a budget, at least one."""
        return max(1, self.rows(budget, gradients=gradients) // len(self))

    def copies(self, count: int) -> "Copies":
        """The clean activations so many times over, to be edited."""
        _, maps, height, width = self.activations.shape
        shape = (count, len(self), height, width, maps)
        memory = torch.empty(shape, dtype=self.activations.dtype, device=self.activations.device)
        memory.copy_(self.activations.permute(0, 2, 3, 1))
        crossing = tuple(torch.cat([value] * count) if count > 1 else value for value in self.crossing)
        return Copies(self.cut, memory.permute(0, 1, 4, 2, 3), crossing)

    def edited(
        self, rows: Float[Tensor, "m k h w"], images: Int64[Tensor, " m"] | None = None
    ) -> tuple[Logits, tuple[Tensor, ...]]:
        """Logits, and the recorded layers, of edited rows, each of one of the images (of each in turn); gradients flow."""
        crossing = self.crossing if images is None else [value[images] for value in self.crossing]
        return self.cut.after(rows, crossing)


@dataclass(frozen=True)
class Copies(Brief):
    """The activations of n images in m copies, `m n k h w`, which may be edited in place; and what else crosses the cut.

    They lie with their channels last in memory: convolutions are up to twice as fast on them.
    """

    cut: Cut
    activations: Float[Tensor, "m n k h w"]
    crossing: tuple[Tensor, ...]

    def __len__(self) -> int:
        """How many copies there are."""
        return len(self.activations)

    def first(self, count: int) -> "Copies":
        """The first copies only, in the same memory."""
        activations = self.activations[:count]
        rows = activations.shape[0] * activations.shape[1]
        return Copies(self.cut, activations, tuple(value[:rows] for value in self.crossing))

    def logits(self) -> Float[Tensor, "m n classes"]:
        """The logits of the copies; gradients flow."""
        rows, _ = self.cut.after(self.activations.flatten(0, 1), self.crossing)
        logits: Tensor = rows.unflatten(0, self.activations.shape[:2])
        return logits


def replay(
    network: Network, layer: str, images: Float[Tensor, "n 3 height width"], record: tuple[str, ...] = ()
) -> Replay:
    """The layer's activations of clean images in [0, 1], ready to be edited; running on also records later layers.

    Raises:
        UnknownNameError: if a layer does not exist.
        ModelError: if a layer to record does not depend on this one.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> copies = replay(network, "0", torch.rand(5, 3, 8, 8)).copies(2)
    >>> copies.activations[1, :, 2] = 0  # the second copies lose a feature map
    >>> copies.logits().shape
    torch.Size([2, 5, 2])
    """
    cut = network.cut(layer, record)
    return Replay(cut, *_gathered(before(cut, images), len(images)))


def before(cut: Cut, images: Float[Tensor, "n 3 height width"]) -> Iterator[tuple[Tensor, ...]]:
    """As `Cut.before`, some images at a time, as many as fit into the budget."""
    for part in parts(len(images), cut.before_footprint.rows(device=cut.device)):
        yield cut.before(images[part])


def _gathered(portions: Iterator[tuple[Tensor, ...]], count: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    gathered: list[Gathered] = []
    for values in portions:
        gathered = gathered or [Gathered(count) for _ in values]
        for rows, value in zip(gathered, values, strict=True):
            rows.add(value)
    activations, *crossing = (rows.whole for rows in gathered)
    return activations, tuple(crossing)
