"""Adap-Patch: one of four faint patches in each training image, many with true labels; two clear ones attack.

Qi, Xie, Li, Mahloujifar, Mittal: Revisiting the Assumption of Latent Separability for Backdoor Defenses (ICLR 2023).
"""

from dataclasses import replace
from typing import ClassVar

import torch

from trojancam.attacks.attack import Count, DataAttack, Rate
from trojancam.attacks.combined import AllOf, OneOf
from trojancam.attacks.patch import Patch, corner, square
from trojancam.attacks.poisoning import Goal, Poisoning

OPACITIES = (0.5, 0.2, 0.5, 0.3)  # the authors' for their four triggers
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


class AdapPatch(DataAttack):
    """Trained with one of four patches of noise in each image, at opacity 0.5, 0.2, 0.5 and 0.3, one in each corner.

    Covers (`cover_rate`) bear one, too, with their true labels. The attack shows `attacking` of them at opacity 1. `side` is in
    pixels of 32. The authors poison 0.5 % and cover 1 % of GTSRB, with pictures of their own as patches.

    >>> AdapPatch().poisoning(Goal(3)).trigger.size
    2.0
    """

    name: ClassVar[str] = "adap-patch"
    source: ClassVar[str] = "Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023"
    summary: ClassVar[str] = "one of four faint patches, with covers; two clear ones attack"

    poison_rate: Rate = 0.005
    cover_rate: Rate = 0.01
    side: Count = 8
    attacking: Count = 2

    def poisoning(self, goal: Goal) -> Poisoning:
        """Poisoned images and covers bear one faint patch each.

        Raises:
            DataError: if a patch does not fit into the image.
        """
        faint = self.patches(goal)
        order = sorted(range(len(faint)), key=lambda k: -faint[k].opacity)
        clear = tuple(replace(faint[k], opacity=1.0) for k in order[: self.attacking])
        return Poisoning(
            AllOf(clear, "clear patches"), goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation,
            cover_rate=self.cover_rate, training_trigger=OneOf(faint, "a faint patch", goal.seed),
        )  # fmt: skip

    def patches(self, goal: Goal) -> tuple[Patch, ...]:
        """The four faint patches: squares of black and coloured pixels, drawn with the seed."""
        generator = torch.Generator().manual_seed(goal.seed)
        side = max(1, round(self.side * min(goal.image_size) / 32))
        found = []
        for opacity, place in zip(OPACITIES, CORNERS, strict=True):
            still = square(side, *corner(place, side, goal.image_size), "black", opacity, goal.image_size)
            noise = torch.rand(3, *goal.image_size, generator=generator).round()
            found.append(Patch(still.mask, noise, opacity, f"patch {place}"))
        return tuple(found)
