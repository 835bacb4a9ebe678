"""Stamps: square patches at many places of an image, as one batch that gradients flow through."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.network.batches import parts
from trojancam.network.devices import CPU
from trojancam.network.network import Network
from trojancam.showing import Brief


@dataclass(frozen=True)
class Stamps(Brief):
    """Square patches: row and column of each one's upper left pixel, and their patterns before the sigmoid."""

    corners: Int64[Tensor, "p 2"]
    values: Float[Tensor, "p 3 side side"]
    image_size: tuple[int, int]

    def picked(self, places: Int64[Tensor, " k"]) -> "Stamps":
        """Some of them."""
        return Stamps(self.corners[places], self.values[places], self.image_size)

    def as_patch(self, number: int, name: str) -> Patch:
        """One of them as a trigger, on the processor."""
        mask, pattern = (each[0].cpu() for each in self.picked(self.numbers[number : number + 1]).laid_out())
        return Patch(mask[0], pattern, name=name)

    def centre(self, number: int) -> tuple[float, float]:
        """Row and column of the middle of one of them, in pixels."""
        row, column = self.corners[number].tolist()
        half = (self.values.shape[-1] - 1) / 2
        return row + half, column + half

    @property
    def numbers(self) -> Int64[Tensor, " p"]:
        """All of them, to pick some."""
        return torch.arange(len(self.corners), device=self.corners.device)

    def gradient(
        self,
        network: Network,
        images: Float[Tensor, "n 3 h w"],
        losses: Callable[[Float[Tensor, "some n classes"], slice], Float[Tensor, " some"]],
    ) -> Float[Tensor, "p 3 side side"]:
        """How each patch's loss changes with its pattern: `losses` makes it of the logits of all images with some patches on.

        It is given the logits and which patches they are of, as many at a time as memory holds.
        """
        gradient = torch.zeros_like(self.values)
        for part in parts(len(self.corners), max(1, network.rows(gradients=True) // len(images))):
            with torch.enable_grad():
                some = self.values[part].clone().requires_grad_()
                stamped = self.picked(self.numbers[part]).with_values(some).apply(images)
                logits, _ = network.forward_with(network.inputs(stamped.flatten(0, 1)), ())
                (gradient[part],) = torch.autograd.grad(
                    losses(logits.unflatten(0, stamped.shape[:2]), part).sum(), some
                )
        return gradient

    def with_values(self, values: Float[Tensor, "p 3 side side"]) -> "Stamps":
        """Other patterns at the same places."""
        return Stamps(self.corners, values, self.image_size)

    def laid_out(self) -> tuple[Float[Tensor, "p 1 h w"], Float[Tensor, "p 3 h w"]]:
        """Masks and patterns of the size of an image; gradients flow to the values."""
        height, width = self.image_size
        side = self.values.shape[-1]
        paddings = [(column, width - side - column, row, height - side - row) for row, column in self.corners.tolist()]
        inside = self.values.new_ones(1, side, side)
        masks = [F.pad(inside, padding) for padding in paddings]
        patterns = [F.pad(each, padding) for each, padding in zip(self.values.sigmoid(), paddings, strict=True)]
        return torch.stack(masks), torch.stack(patterns)

    def apply(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "p n 3 h w"]:
        """Every image with every patch."""
        masks, patterns = self.laid_out()
        return images * (1 - masks[:, None]) + patterns[:, None]


def corners(
    image_size: tuple[int, int], side: float, stride: float, device: torch.device = CPU
) -> Int64[Tensor, "p 2"]:
    """The upper left pixels of patches on a grid over the whole image; `side` and `stride` are shares of its shorter side.

    >>> corners((32, 32), 6 / 32, 13 / 32).tolist()
    [[0, 0], [0, 13], [0, 26], [13, 0], [13, 13], [13, 26], [26, 0], [26, 13], [26, 26]]
    """
    shorter = min(image_size)
    pixels, step = max(1, round(shorter * side)), max(1, round(shorter * stride))
    rows, columns = (torch.arange(0, extent - pixels + 1, step, device=device) for extent in image_size)
    return torch.cartesian_prod(rows, columns)
