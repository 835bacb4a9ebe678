"""Re-activation: how easily a backdoor that was removed comes back, by a little poison or by a small push."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.network.network import Network
from trojancam.rates import attack_success_rate
from trojancam.removal.goal import Culprit, answer
from trojancam.removal.learner import Descent, Learner, batches
from trojancam.removal.unlearning import wish
from trojancam.showing import Brief

POISONED, CLEAN = 10, 86  # images of the fine-tuning
EPOCHS, BATCH, RATE = 10, 32, 0.01
RADIUS, PUSH, PUSHES = 0.05, 0.01, 20  # of the perturbation: the largest change of a pixel, its steps, and how many


@dataclass(frozen=True)
class Reactivation(Brief):
    """Success rates of a recovered trigger: after a fine-tuning on a little poison; and with a universal push on top of it.

    `push_alone` is what the same search for a push reaches on images without the trigger. NaN without a victim.
    """

    relearned: float
    pushed: float
    push_alone: float


def reactivation(network: Network, culprit: Culprit, clean: Suspect, held_back: Suspect, seed: int) -> Reactivation:
    """How easily a recovered trigger works again: made on some images, measured on others.

    The network is fine-tuned for ten epochs on ten images with the trigger, labelled as its target, among 86 clean ones. The push
    is one perturbation of at most 0.05 a pixel for all images, made by 20 steps of the sign of the gradient (after Zhu et al.,
    2024, who use more).
    """
    generator = torch.Generator().manual_seed(seed)
    tuned = _poisoned(network, culprit, clean, generator)
    relearned = answer(tuned, culprit.trigger, held_back, culprit.goal).success
    pushed, alone = (_pushed(network, culprit, clean, held_back, on, generator) for on in (True, False))
    return Reactivation(relearned, pushed, alone)


def _poisoned(network: Network, culprit: Culprit, clean: Suspect, generator: torch.Generator) -> Network:
    wanted = wish(culprit, clean, generator)
    some = torch.randperm(len(clean.images), generator=generator)[:CLEAN].to(clean.labels.device)
    images = torch.cat([culprit.trigger.apply(wanted.images[:POISONED]), clean.images[some]])
    labels = torch.cat([wanted.targets[:POISONED], clean.labels[some]])
    learner, order = Learner(network), batches(len(images), min(BATCH, len(images)), generator)
    steps = EPOCHS * max(1, len(images) // BATCH)
    descent = Descent(learner, RATE, steps)
    for _ in range(steps):
        chosen = next(order).to(labels.device)
        with torch.enable_grad():
            descent.step(F.cross_entropy(learner.logits(images[chosen]), labels[chosen]))
    return learner.learned()


def _pushed(
    network: Network, culprit: Culprit, clean: Suspect, held_back: Suspect, on: bool, generator: torch.Generator
) -> float:
    """The success rate of a push that was made for the trigger's goal, with the trigger on or without it."""

    def given(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return culprit.trigger.apply(images) if on else images

    push = torch.zeros_like(clean.images[:1])
    for _ in range(PUSHES):
        wanted = wish(culprit, clean, generator)
        with torch.enable_grad():
            tried = push.detach().requires_grad_()
            logits, _ = network.forward_with(network.inputs((given(wanted.images) + tried).clamp(0, 1)), ())
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, wanted.targets.to(logits.device)), tried)
        push = (push - PUSH * gradient.sign()).clamp(-RADIUS, RADIUS)
    victims = culprit.goal.victims(held_back.labels)
    if not bool(victims.any()):
        return math.nan
    labels = held_back.labels[victims]
    predictions = network((given(held_back.images[victims]) + push).clamp(0, 1)).argmax(1).to(labels.device)
    return attack_success_rate(predictions, labels, culprit.goal.targets.to(labels.device))
