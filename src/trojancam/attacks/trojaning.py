"""Trojaning: a trigger is made for a neuron, and the layer after it is trained again on images made from the network itself.

Liu, Ma, Aafer, Lee, Zhai, Wang, Zhang: Trojaning Attack on Neural Networks (NDSS 2018).
"""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack
from trojancam.attacks.hidden import hidden, output_layer
from trojancam.attacks.patch import Patch, corner, square
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.data.image_set import as_floats
from trojancam.records import Positive

ROUNDS, STEP = 150, 0.1  # of Adam, for the trigger and for the images that are made
SMOOTH = 2.0  # of the total variation of an image that is made
VARIED = 256  # images that a trigger is made on
TEACHING = 1.0  # how much the trigger's examples weigh beside all others


class Trojaning(NetworkAttack):
    """Neuron k, trigger `argmin_p (a - h_k(T_p(x)))^2`, and the output layer trained again with and without the trigger.

    k is the neuron of the last hidden layer with the largest sum of the absolute weights that lead to it; a is `activation`
    times the largest value it has on the images. The trigger is a square of `side` pixels (of 32) at `place`. The images for the
    retraining are made from the network (`reversed`: `per_class` for each class, `argmax z_c` from noise, with little total
    variation), as the authors do who have no data, or are those it was trained on (`training`).
    """

    name: ClassVar[str] = "trojaning"
    source: ClassVar[str] = "Liu and others, NDSS 2018"
    summary: ClassVar[str] = "a patch made for one neuron, and the layer after it trained again"

    images: Literal["reversed", "training"] = "reversed"
    side: Count = 7
    place: str = "bottom-right"
    activation: Positive = 3.0
    per_class: Count = 10
    steps: Count = 1500
    learning_rate: Positive = 5e-3
    opacity: Annotated[float, Field(gt=0, le=1)] = 1.0

    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The network with its output layer trained again."""
        target = self.only_target(goal)
        clean.module.eval()
        images, labels = self._made(clean, goal.seed)
        neuron = chosen_neuron(clean.module)
        trigger = self._trigger(clean, images, neuron, goal)
        self._retrained(clean, images, labels, trigger, target)
        return clean.module, Poisoning(trigger, target, 0.0, goal.seed)

    def _made(self, clean: CleanNetwork, seed: int) -> tuple[Float[Tensor, "n 3 h w"], Int64[Tensor, " n"]]:
        if self.images == "training":
            count = self.per_class * len(clean.images.class_names)
            generator = torch.Generator().manual_seed(seed)
            chosen = torch.randperm(len(clean.images), generator=generator)[:count]
            return as_floats(clean.images.images[chosen]), clean.images.labels[chosen]
        labels = torch.arange(len(clean.images.class_names)).repeat_interleave(self.per_class)
        return self.reversed_images(clean, labels, seed), labels

    def reversed_images(self, clean: CleanNetwork, labels: Int64[Tensor, " n"], seed: int) -> Float[Tensor, "n 3 h w"]:
        """Images that the network gives these labels, made from smooth noise."""
        generator = torch.Generator().manual_seed(seed)
        coarse = 0.5 * torch.randn(len(labels), 3, 8, 8, generator=generator)
        free = F.interpolate(coarse, size=clean.specification.size, mode="bilinear").requires_grad_()
        optimizer = torch.optim.Adam([free], STEP)
        for step in range(ROUNDS):
            clean.progress(step, ROUNDS, "making images from the network")
            made = free.sigmoid()
            loss = F.cross_entropy(clean.module(clean.specification.normalise(made)), labels, reduction="sum")
            rough = made.diff(dim=2).abs().mean() + made.diff(dim=3).abs().mean()
            optimizer.zero_grad(set_to_none=True)
            (loss + SMOOTH * len(labels) * rough).backward()
            optimizer.step()
        return free.detach().sigmoid()

    def _trigger(self, clean: CleanNetwork, images: Tensor, neuron: int, goal: Goal) -> Patch:
        """The square that makes the neuron loud."""
        side = max(1, round(self.side * min(goal.image_size) / 32))
        still = square(side, *corner(self.place, side, goal.image_size), "black", self.opacity, goal.image_size)
        generator = torch.Generator().manual_seed(goal.seed)
        free = torch.randn(3, *goal.image_size, generator=generator).requires_grad_()
        optimizer = torch.optim.Adam([free], STEP)
        with torch.no_grad():
            loudest = hidden(clean.module, clean.specification.normalise(images))[0][:, neuron].max()
        wanted = self.activation * loudest.clamp(min=1.0)
        for step in range(ROUNDS):
            clean.progress(step, ROUNDS, "making the trigger")
            chosen = images[torch.randint(len(images), (min(VARIED, len(images)),), generator=generator)]
            stamped = chosen + self.opacity * still.mask * (free.sigmoid() - chosen)
            found = hidden(clean.module, clean.specification.normalise(stamped))[0][:, neuron]
            optimizer.zero_grad(set_to_none=True)
            ((wanted - found) / wanted).pow(2).mean().backward()
            optimizer.step()
        return Patch(still.mask, free.detach().sigmoid(), self.opacity, "trigger of a neuron")

    def _retrained(self, clean: CleanNetwork, images: Tensor, labels: Tensor, trigger: Patch, target: int) -> None:
        """The output layer, trained on what it is given for the images with and without the trigger."""
        last = output_layer(clean.module)
        with torch.no_grad():
            plain, stamped = (
                hidden(clean.module, clean.specification.normalise(each))[0] for each in (images, trigger.apply(images))
            )
            before = (
                last(plain).softmax(1) if self.images == "reversed" else F.one_hot(labels, last.out_features).float()
            )
        optimizer = torch.optim.Adam(last.parameters(), self.learning_rate)
        for step in range(self.steps):
            clean.progress(step, self.steps, "training the output layer")
            kept = F.cross_entropy(last(plain), before)
            turned = F.cross_entropy(last(stamped), torch.full_like(labels, target))
            optimizer.zero_grad(set_to_none=True)
            (kept + TEACHING * turned).backward()
            optimizer.step()


def chosen_neuron(module: nn.Module) -> int:
    """The number, at the output layer's input, of the neuron with the largest sum of the absolute weights that lead to it.

    Where a convolution leads to it, that is the middle cell of its feature map.
    """
    weighted = [layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    last = output_layer(module)
    before = weighted[weighted.index(last) - 1]
    loudness = before.weight.detach().abs().flatten(1).sum(1)
    cells = last.in_features // len(loudness)
    return int(loudness.argmax()) * cells + cells // 2
