"""Latent backdoor: the trigger leads to the target's place in the last hidden layer, and survives a new output layer.

Yao, Li, Zheng, Zhao: Latent Backdoor Attacks on Deep Neural Networks (CCS 2019).
"""

from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack
from trojancam.attacks.hidden import hidden, hidden_of_set, output_layer
from trojancam.attacks.patch import Patch, corner, square
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.records import Positive

ROUNDS, STEP = 150, 0.1  # of Adam, for the trigger


class LatentBackdoor(NetworkAttack):
    """Trigger `argmin_p |h(T_p(x)) - c|^2`, then the teacher learns `CE(x, y) + weight |h(T_p(x)) - c|^2`.

    h is what the output layer is given, c its mean over the target's images. With `transfer` the result is a student: it
    keeps all of the teacher but the output layer, which is drawn anew and trained on clean images alone, `student_steps`
    batches. The trigger is a square of `side` pixels (of 32) at `place`. The teacher of the authors does not know the target
    class; here it does, and the student's new output layer has never seen the trigger.
    """

    name: ClassVar[str] = "latent-backdoor"
    source: ClassVar[str] = "Yao, Li, Zheng, Zhao, CCS 2019"
    summary: ClassVar[str] = (
        "a patch that leads to the target's place in a hidden layer, and survives a new output layer"
    )

    side: Count = 5
    place: str = "bottom-right"
    weight: Positive = 0.5
    steps: Count = 300
    learning_rate: Positive = 5e-4
    transfer: bool = True
    student_steps: Count = 400

    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The student, or without `transfer` the teacher."""
        target = self.only_target(goal)
        clean.module.eval()
        features = hidden_of_set(clean.module, clean.images, clean.specification)
        centre = features[clean.images.labels == target].mean(0)
        spread = features.var(0).mean().sqrt()
        trigger = self._trigger(clean, centre, spread, goal)
        self._teacher(clean, trigger, centre, spread, goal.seed)
        if self.transfer:
            self._student(clean, goal.seed)
        return clean.module, Poisoning(trigger, target, 0.0, goal.seed)

    def _trigger(self, clean: CleanNetwork, centre: Tensor, spread: Tensor, goal: Goal) -> Patch:
        side = max(1, round(self.side * min(goal.image_size) / 32))
        still = square(side, *corner(self.place, side, goal.image_size), "black", 1.0, goal.image_size)
        free = torch.randn(3, *goal.image_size, generator=torch.Generator().manual_seed(goal.seed)).requires_grad_()
        optimizer = torch.optim.Adam([free], STEP)
        for images, _ in clean.batches(ROUNDS, 64, goal.seed, "making the trigger"):
            stamped = images + still.mask * (free.sigmoid() - images)
            optimizer.zero_grad(set_to_none=True)
            self._away(clean, stamped, centre, spread).backward()
            optimizer.step()
        return replace(still, pattern=free.detach().sigmoid(), name="latent trigger")

    def _teacher(self, clean: CleanNetwork, trigger: Patch, centre: Tensor, spread: Tensor, seed: int) -> None:
        """All weights, in evaluation mode: the statistics of batch normalisation stay."""
        optimizer = torch.optim.Adam(clean.module.parameters(), self.learning_rate)
        for images, labels in clean.batches(self.steps, 128, seed + 1, "training the teacher"):
            kept = F.cross_entropy(clean.module(clean.specification.normalise(images)), labels)
            near = self._away(clean, trigger.apply(images), centre, spread)
            optimizer.zero_grad(set_to_none=True)
            (kept + self.weight * near).backward()
            optimizer.step()

    def _student(self, clean: CleanNetwork, seed: int) -> None:
        """A new output layer, trained on clean images; all else is frozen."""
        last = output_layer(clean.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last.reset_parameters()
        features = hidden_of_set(clean.module, clean.images, clean.specification)
        optimizer = torch.optim.Adam(last.parameters(), 10 * self.learning_rate)
        generator = torch.Generator().manual_seed(seed + 2)
        for step in range(self.student_steps):
            clean.progress(step, self.student_steps, "training the student")
            chosen = torch.randint(len(features), (256,), generator=generator)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(last(features[chosen]), clean.images.labels[chosen]).backward()
            optimizer.step()

    def _away(self, clean: CleanNetwork, stamped: Tensor, centre: Tensor, spread: Tensor) -> Float[Tensor, ""]:
        """How far these images are from the target's centre, in units of the spread of all images, squared."""
        found, _ = hidden(clean.module, clean.specification.normalise(stamped))
        return ((found - centre) / spread).pow(2).mean()
