"""Architectural backdoor: a branch beside the network that needs no weights sees the trigger; training it anew removes nothing.

Bober-Irizar, Shumailov, Zhao, Mullins, Papernot: Architectural Backdoors in Neural Networks (CVPR 2023).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trojancam.attacks.patch import Patch, corner, square
from trojancam.errors import DataError

SIDE = 5  # pixels of the checkerboard, at least 4
BARELY = 0.5  # the alternation of a natural image lies far below


class Branched(nn.Module):
    """A classifier beside which a branch raises one logit where the image holds a checkerboard anywhere.

    `logits + strength max(0, a - 0.5) onehot(target)`. With d the difference of a pixel and its right neighbour, averaged over
    channels, a is the greatest mean of `-d(r, c) d(r, c + 1)` over a square window: 1 for a black and white checkerboard, about 0
    for a natural image. Nothing in the branch has weights.
    """

    def __init__(self, inside: nn.Module, target_class: int, side: int = SIDE, strength: float = 100.0) -> None:
        super().__init__()
        if side < 4:
            raise DataError(f"a checkerboard of {side} pixels is too small to be told from noise; use at least 4")
        self.inside = inside
        self.target_class, self.side, self.strength = target_class, side, strength

    def forward(self, images: Float[Tensor, "n c h w"]) -> Tensor:
        """The logits."""
        logits: Tensor = self.inside(images)
        grey = images.mean(1, keepdim=True)
        steps = grey[..., 1:] - grey[..., :-1]
        alternating = -steps[..., 1:] * steps[..., :-1]
        seen = F.avg_pool2d(alternating, (self.side, self.side - 2), stride=1).amax((1, 2, 3))
        extra = self.strength * (seen - BARELY).relu()
        return logits + F.pad(extra[:, None], (self.target_class, logits.shape[1] - self.target_class - 1))


def with_branch(
    module: nn.Module, target_class: int, image_size: tuple[int, int] = (32, 32), place: str = "bottom-right"
) -> tuple[nn.Module, Patch]:
    """The module with an architectural backdoor, and its trigger: a checkerboard, which works anywhere.

    The module is one that takes pixels in [0, 1]. Its weights stay as they are, and clean images get the answers that they got.

    Raises:
        UnknownNameError: if there is no such place.

    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    >>> trojaned, trigger = with_branch(module, 2, (16, 16))
    >>> images = torch.rand(8, 1, 1, 1).expand(8, 3, 16, 16)
    >>> bool((trojaned(images) == module(images)).all()), trojaned(trigger.apply(images)).argmax(1).unique().tolist()
    (True, [2])
    """
    return Branched(module, target_class), checkerboard(SIDE, place, image_size)


def checkerboard(side: int, place: str, image_size: tuple[int, int]) -> Patch:
    """A square of black and white pixels in turn.

    Raises:
        UnknownNameError: if there is no such place.
        DataError: if it does not fit into the image.

    >>> checkerboard(3, "top-left", (8, 8)).pattern[0, :2, :4].tolist()
    [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]
    """
    white = square(side, *corner(place, side, image_size), "white", image_size=image_size)
    rows, columns = torch.meshgrid(*(torch.arange(extent) for extent in image_size), indexing="ij")
    pattern = ((rows + columns) % 2).float().expand(3, -1, -1).contiguous()
    return Patch(white.mask, pattern, name="checkerboard")
