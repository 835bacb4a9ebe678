"""Cognitive distillation: how little of an image is enough for what the network says of it (Huang et al., ICLR 2023).

A small patch that decides the class is enough by itself, so the minimal mask of a triggered image is small. The mask is an
explanation as well as a test: it shows what is enough.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test
from trojancam.network.batches import Gathered, parts
from trojancam.network.draws import Draws
from trojancam.showing import Brief


@dataclass(frozen=True)
class Distillation(Brief):
    """How the mask is found: the authors' settings."""

    steps: int = 100
    rate: float = 0.1
    betas: tuple[float, float] = (0.1, 0.1)
    size_weight: float = 0.01
    smoothness_weight: float = 1.0
    start: float = 1.0


AUTHORS = Distillation()


def learn(reference: Reference, distillation: Distillation = AUTHORS) -> Test:  # noqa: ARG001 - it learns nothing
    """The test; the score is `-|m|_1 / pixels`, and the place is the mask itself."""

    def test(seen: Seen) -> Scores:
        masks = minimal_masks(seen, distillation)
        return Scores(-masks.mean((1, 2)), masks)

    return test


def minimal_masks(seen: Seen, distillation: Distillation = AUTHORS) -> Float[Tensor, "n h w"]:
    """The mask m in [0, 1] of each image that minimises `mean_c |f(x m + (1 - m) u) - f(x)| + g |m|_1 + b TV(m)`.

    `u` is a random colour, another one at each step and for each image; `m = (tanh(v) + 1) / 2`, found by Adam over v, and TV
    is the mean square of the differences of neighbouring pixels. The images do not touch each other.
    """
    rows = seen.network.rows(seen.memory_budget, gradients=True, beside=4 * seen.images[0].nbytes)
    gathered = Gathered(len(seen.images))
    with torch.inference_mode(False), torch.enable_grad():
        for part in parts(len(seen.images), rows):
            gathered.add(_distilled(seen, part, distillation))
    return gathered.whole.cpu()


def _distilled(seen: Seen, part: slice, how: Distillation) -> Float[Tensor, "n h w"]:
    network = seen.network
    images = seen.images[part].to(network.device)
    count, _, height, width = images.shape
    wanted = network.forward_with(network.inputs(images), ())[0].detach()
    free = torch.full((count, 1, height, width), how.start, device=network.device, requires_grad=True)
    optimiser = torch.optim.Adam([free], how.rate, how.betas)
    draws = [Draws(seen.seed + seen.first + part.start + number) for number in range(count)]
    colours = torch.stack([each.uniform(how.steps, 3, 1, 1) for each in draws], 1).to(network.device)
    for colour in colours:
        mask = (free.tanh() + 1) / 2
        shown = images * mask + (1 - mask) * colour
        error = (network.forward_with(network.inputs(shown), ())[0] - wanted).abs().mean(1)
        loss = error + how.size_weight * mask.sum((1, 2, 3)) + how.smoothness_weight * roughness(mask)
        (free.grad,) = torch.autograd.grad(loss.sum(), [free])
        optimiser.step()
    return ((free.detach().tanh() + 1) / 2)[:, 0]


def roughness(masks: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """`(sum of squared differences of neighbours, down and across) / (h w)`.

    >>> roughness(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
    tensor([0.5000])
    """
    down, across = masks.diff(dim=2).square(), masks.diff(dim=3).square()
    return (down.sum((1, 2, 3)) + across.sum((1, 2, 3))) / (masks.shape[2] * masks.shape[3])
