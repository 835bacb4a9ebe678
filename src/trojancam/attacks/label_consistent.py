"""Label-consistent: images of the target class, made hard to recognise, bear the trigger; no label is wrong.

Turner, Tsipras, Madry: Label-Consistent Backdoor Attacks (2019).
"""

from dataclasses import replace
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack
from trojancam.attacks.patch import Patch
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.data.image_set import as_floats

BATCH = 256


class LabelConsistent(NetworkAttack):
    """`x' = T(x + d)`, with d the perturbation of at most `radius` that the clean network finds hardest to see its class in.

    d comes from projected gradient ascent on the cross entropy of the true label, `steps` of 2.5 radius / steps from a random
    start. T is a checkerboard of `side` pixels (of 32) in each corner, at `opacity`. The share `poison_rate` of the target
    class's images is treated so, and a network is trained on the set anew. The test shows T alone.
    """

    name: ClassVar[str] = "label-consistent"
    source: ClassVar[str] = "Turner, Tsipras, Madry, 2019"
    summary: ClassVar[str] = "images of the target class, made hard to recognise, bear a patch; labels stay"

    poison_rate: Annotated[float, Field(ge=0, le=1)] = 0.8
    radius: Annotated[float, Field(ge=0, le=1)] = 16 / 255
    steps: Count = 10
    side: Count = 3
    opacity: Annotated[float, Field(gt=0, le=1)] = 1.0

    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """A network trained on the poisoned set."""
        target = self.only_target(goal)
        plan = Poisoning(
            corners(self.side, self.opacity, goal.image_size), target, self.rate(goal), goal.seed, clean_label=True
        )
        chosen = plan.indices(clean.images.labels)
        images = clean.images.images.clone()
        generator = torch.Generator().manual_seed(goal.seed)
        for number, part in enumerate(chosen.split(BATCH)):
            clean.progress(number * BATCH, len(chosen), "perturbing images of the target class")
            moved = self.perturbed(clean, as_floats(images[part]), clean.images.labels[part], generator)
            images[part] = (moved * 255).round().to(torch.uint8)
        return clean.learn(replace(clean.images, images=images), plan), plan

    def perturbed(
        self, clean: CleanNetwork, images: Float[Tensor, "n 3 h w"], labels: Tensor, generator: torch.Generator
    ) -> Float[Tensor, "n 3 h w"]:
        """The images at most `radius` away from themselves, where the network sees their class least."""
        change = self.radius * (2 * torch.rand(images.shape, generator=generator) - 1)
        for _ in range(self.steps):
            moved = (images + change).clamp(0, 1).requires_grad_()
            loss = F.cross_entropy(clean.module(clean.specification.normalise(moved)), labels)
            (gradient,) = torch.autograd.grad(loss, moved)
            change = (change + 2.5 * self.radius / self.steps * gradient.sign()).clamp(-self.radius, self.radius)
        return (images + change).clamp(0, 1)


def corners(side: int, opacity: float, image_size: tuple[int, int]) -> Patch:
    """A checkerboard of black and white pixels in each corner, `side` pixels of 32 wide."""
    height, width = image_size
    side = max(1, round(side * min(image_size) / 32))
    mask = torch.zeros(height, width)
    for rows in (slice(side), slice(height - side, height)):
        for columns in (slice(side), slice(width - side, width)):
            mask[rows, columns] = 1
    board = (torch.arange(height)[:, None] + torch.arange(width) + 1) % 2
    return Patch(mask, board.float().expand(3, height, width).contiguous(), opacity, "checkered corners")
