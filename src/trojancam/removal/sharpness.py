"""FT-SAM (Zhu et al., ICCV 2023): fine-tuning that steps by the gradient at the worst weights nearby, by adaptive sharpness."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.network import Network
from trojancam.progress import Progress, counting
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_tuning import LONGEST_GRADIENT, cross_entropy
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, check_finite, varied

RADIUS, RADIUS_MANY, MANY = 2.0, 8.0, 10  # of the neighbourhood: for up to ten classes, and for more
EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 50, 128, 0.01, 0.9, 5e-4
TINY = 1e-12


def worst_nearby(weights: list[Tensor], gradients: list[Tensor], radius: float) -> list[Tensor]:
    """The step to the worst weights in an adaptive neighbourhood: `e = r w^2 g / |w g|` (Kwon et al. 2021)."""
    length = torch.stack(
        [(weight.abs() * each).square().sum() for weight, each in zip(weights, gradients, strict=True)]
    )
    scale = radius / (length.sum().sqrt() + TINY)
    return [scale * weight.square() * each for weight, each in zip(weights, gradients, strict=True)]


def sharpness_aware(job: RepairJob, progress: Progress, epochs: int = EPOCHS) -> Network:
    """The network fine-tuned on clean images; each step takes the gradient where the loss is worst nearby."""
    clean, generator = job.suspect, generator_of(job, "sharpness")
    learner, count = Learner(clean.network), len(clean.images)
    radius = RADIUS_MANY if clean.classes > MANY else RADIUS
    size = min(BATCH, count)
    steps = epochs * max(1, count // size)
    sgd = torch.optim.SGD(learner.weights, RATE, MOMENTUM, weight_decay=DECAY)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    order, advance = batches(count, size, generator), counting(progress, steps, "fine-tuning")
    for _ in range(steps):
        chosen = next(order).to(clean.labels.device)
        images, labels = varied(clean.images[chosen], generator), clean.labels[chosen]
        away = worst_nearby(learner.weights, _gradients(learner, images, labels), radius)
        _move(learner.weights, away, 1)
        found = _gradients(learner, images, labels)
        _move(learner.weights, away, -1)
        for weight, gradient in zip(learner.weights, found, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(learner.weights, LONGEST_GRADIENT)  # as in `tuned`
        sgd.step()
        falling.step()
        advance(1)
    return learner.learned()


def _gradients(learner: Learner, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> list[Tensor]:
    with torch.enable_grad():
        loss = cross_entropy(learner, images, labels)
    check_finite(loss)
    return list(torch.autograd.grad(loss, learner.weights))


def _move(weights: list[Tensor], steps: list[Tensor], sign: int) -> None:
    with torch.no_grad():
        for weight, step in zip(weights, steps, strict=True):
            weight.add_(step, alpha=sign)


SHARPNESS = single("FT-SAM", "Zhu et al., ICCV 2023", sharpness_aware)
