"""Replay: one layer of clean images, edited and run on through the rest of the network, many variants at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attribution import MEMORY_BUDGET
from trojancam.attribution.perturbations import rows_at_a_time
from trojancam.network.network import Cut, Network

ROWS = 192  # edited images at a time


@dataclass(frozen=True)
class Replay:
    """A network cut at a layer: the clean activations of images there, `n k h w`, and what else crosses the cut."""

    cut: Cut
    activations: Float[Tensor, "n k h w"]
    crossing: tuple[Tensor, ...]

    @property
    def images(self) -> int:
        """How many clean images there are."""
        return len(self.activations)

    def first(self, count: int) -> "Replay":
        """The same with the first images only."""
        return Replay(self.cut, self.activations[:count], tuple(value[:count] for value in self.crossing))

    def copies(self, count: int) -> Float[Tensor, "m n k h w"]:
        """The clean activations so many times over, to be edited; channels last in memory (up to twice as fast)."""
        rows = (count * self.images, *self.activations.shape[1:])
        copies: Tensor = torch.empty(rows, memory_format=torch.channels_last).unflatten(0, (count, self.images))
        return copies.copy_(self.activations)

    def logits(self, edited: Float[Tensor, "m n k h w"]) -> Float[Tensor, "m n classes"]:
        """The logits of m variants of the n images; gradients flow."""
        crossing = [torch.cat([value] * len(edited)) for value in self.crossing]
        logits: Tensor = self.cut.after(edited.flatten(0, 1), crossing)[0]
        return logits.view(len(edited), self.images, -1)

    def chunks(self, variants: int) -> Iterator[slice]:
        """Variants in portions that fit the memory budget, and the processor's cache."""
        per_image = 2 * self.cut.bytes_per_image + 8 * self.activations[0].numel()
        rows = rows_at_a_time(MEMORY_BUDGET, per_image, ROWS)
        count = max(1, rows // self.images)
        for start in range(0, variants, count):
            yield slice(start, min(variants, start + count))


def replay(network: Network, layer: str, images: Float[Tensor, "n 3 height width"]) -> Replay:
    """The layer's activations of clean images, ready to be edited."""
    cut = network.cut(layer)
    activations, *crossing = cut.before(images)
    return Replay(cut, activations, tuple(crossing))


def margins(logits: Float[Tensor, "*m classes"]) -> Float[Tensor, "*m classes"]:
    """By how much each class leads all others together: `y_t - logsumexp(the other logits)`, for each class.

    Above 0, the class has more than half of the probability.

    >>> margins(torch.tensor([[0.0, 0.0]]))
    tensor([[0., 0.]])
    """
    top = logits.argmax(-1, keepdim=True)
    peak = logits.gather(-1, top)
    shares = (logits - peak).exp()
    others = peak + (shares.sum(-1, keepdim=True) - shares).log()
    behind = logits.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    # The top class may have all of the sum but a rounding error: what the others have is added up without it.
    return (logits - others).scatter(-1, top, peak - behind)


def margin(logits: Float[Tensor, "m n classes"], classes: Int64[Tensor, " m"]) -> Float[Tensor, "m n"]:
    """The margin of one class for each of m variants; gradients flow."""
    index = classes[:, None, None].expand(*logits.shape[:2], 1)
    others = logits.scatter(-1, index, -torch.inf).logsumexp(-1)
    return logits.gather(-1, index)[..., 0] - others


def lead(logits: Float[Tensor, "*m classes"], target_class: int) -> Float[Tensor, "*m"]:
    """By how much a class's logit is above the greatest of the others: above 0, the network answers with the class.

    >>> lead(torch.tensor([1.0, 5.0, 3.0]), 1)
    tensor(2.)
    """
    others = logits.index_fill(-1, torch.tensor(target_class), -torch.inf).amax(-1)
    return logits[..., target_class] - others
