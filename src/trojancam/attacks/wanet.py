"""WaNet: the image bent by a smooth flow.

Nguyen, Tran: WaNet - Imperceptible Warping-based Backdoor Attack (ICLR 2021).
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from trojancam.attacks.attack import DataAttack, Rate
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.warp import NoisyWarp, wanet_flow
from trojancam.records import Positive


class WaNet(DataAttack):
    """`x'(p) = x(p + u(p))`, the flow u bicubic between `points` x `points` draws of mean magnitude `strength / height`.

    Covers (`noise_rate`) bear the flow with random offsets of up to half a pixel in each pixel, and keep their labels: so
    the network learns this flow and no other. The authors' strength is 0.5, of 32 pixels; at that strength the backdoor
    does not form in a few epochs of small networks, so the default is 2.

    >>> round(WaNet(strength=0.5).poisoning(Goal(3)).trigger.size, 2) < 0.5
    True
    """

    name: ClassVar[str] = "wanet"
    source: ClassVar[str] = "Nguyen, Tran, ICLR 2021"
    summary: ClassVar[str] = "the image bent by a smooth flow"

    points: Annotated[int, Field(ge=2)] = 4
    strength: Positive = 2.0
    noise_rate: Rate = 0.2

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images is bent; `noise_rate` of the others is bent at random."""
        flow = wanet_flow(goal.image_size, self.points, self.strength, torch.Generator().manual_seed(goal.seed))
        noisy = NoisyWarp(flow.flow, flow.image_size, "WaNet's noise mode", seed=goal.seed)
        return Poisoning(
            flow, goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation,
            cover_rate=self.noise_rate, cover_trigger=noisy,
        )  # fmt: skip
