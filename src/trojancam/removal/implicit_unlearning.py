"""I-BAU (Zeng et al., ICLR 2022): the worst universal change is unlearned, with the gradient through that change."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.network import Network
from trojancam.progress import Progress, counting
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, check_finite

ROUNDS, BATCH = 5, 100
INNER_RATE, SHRINKAGE = 10.0, 0.001
ITERATIONS, ITERATION_RATE = 5, 0.1  # of the fixed point that the hypergradient comes from, and of its map
RATE = 1e-3
CHANGED = 0.01  # the share of a batch that is changed, one image at least: what the authors' code does

Loss = Callable[[Tensor, Sequence[Tensor]], Tensor]


def hypergradient(
    outer: Loss, inner: Loss, change: Tensor, weights: Sequence[Tensor], iterations: int, rate: float
) -> list[Tensor]:
    """The gradient of `outer(d*(w), w)` by the weights w, where d* minimises `inner(d, w)` and `change` is close to it.

    With the map `P(d, w) = d - rate dinner/dd` and `v <- (dP/dd)^T v + douter/dd`, so many times from 0, it is
    `douter/dw + (dP/dw)^T v` (Grazzi et al. 2020).

    >>> w = torch.tensor([3.0], requires_grad=True)
    >>> outer, inner = (lambda d, w: (d * d).sum()), (lambda d, w: ((d - w[0]) ** 2).sum())
    >>> hypergradient(outer, inner, torch.tensor([3.0]), [w], 50, 0.25)  # d* = w, so that the gradient is 2 w
    [tensor([6.])]
    """
    with torch.enable_grad():
        point = change.detach().requires_grad_()
        above = outer(point, weights)
        to_change, *to_weights = torch.autograd.grad(above, [point, *weights], allow_unused=True)
        (slope,) = torch.autograd.grad(inner(point, weights), point, create_graph=True)
        mapped = point - rate * slope
    direct = torch.zeros_like(point) if to_change is None else to_change
    adjoint = torch.zeros_like(point)
    for _ in range(iterations):
        (turned,) = torch.autograd.grad(mapped, point, adjoint, retain_graph=True)
        adjoint = turned + direct
    through = torch.autograd.grad(mapped, weights, adjoint, allow_unused=True)
    pairs = zip(weights, to_weights, through, strict=True)
    return [sum((each for each in found if each is not None), torch.zeros_like(weight)) for weight, *found in pairs]


def implicitly_unlearned(job: RepairJob, progress: Progress) -> Network:
    """Five rounds: find the change of all images that does most harm, then a step of Adam by the hypergradient for each batch."""
    clean, generator = job.suspect, generator_of(job, "implicit")
    learner, size = Learner(clean.network), min(BATCH, len(clean.images))
    parts = max(1, len(clean.images) // size)
    adam = torch.optim.Adam(learner.weights, RATE)
    order, advance = batches(len(clean.images), size, generator), counting(progress, ROUNDS * parts, "unlearning")

    for _ in range(ROUNDS):
        change = torch.zeros_like(clean.images[:1])
        chosen = [next(order).to(clean.labels.device) for _ in range(parts)]
        for rows in chosen:
            (slope,) = _slope(learner, clean.images[rows], clean.labels[rows], change)
            change = change - INNER_RATE * slope
        for rows in chosen:
            images, labels = clean.images[rows], clean.labels[rows].to(learner.network.device)
            gradients = hypergradient(
                _outer(learner, images, labels), _inner(learner, images, labels), change, learner.weights, ITERATIONS,
                ITERATION_RATE,
            )  # fmt: skip
            for weight, gradient in zip(learner.weights, gradients, strict=True):
                weight.grad = gradient
            adam.step()
            advance(1)
    return learner.learned()


def _slope(
    learner: Learner, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"], change: Tensor
) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        point = change.detach().requires_grad_()
        loss = _inner(learner, images, labels.to(learner.network.device))(point, learner.weights)
    check_finite(loss)
    return torch.autograd.grad(loss, point)


def _inner(learner: Learner, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Loss:
    """`-CE(f(x + d), y) + 0.001 |d|^2`: the worst change is its least."""

    def loss(change: Tensor, _: Sequence[Tensor]) -> Tensor:
        return -F.cross_entropy(learner.logits(images + change), labels) + SHRINKAGE * change.square().sum()

    return loss


def _outer(learner: Learner, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Loss:
    """The loss of a batch of which the first images are changed."""
    changed = max(1, int(CHANGED * len(images)))

    def loss(change: Tensor, _: Sequence[Tensor]) -> Tensor:
        return F.cross_entropy(learner.logits(torch.cat([images[:changed] + change, images[changed:]])), labels)

    return loss


IMPLICIT = single("I-BAU", "Zeng et al., ICLR 2022", implicitly_unlearned)
