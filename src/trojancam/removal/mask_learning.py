"""Mask learning: a number for each feature map is learned, and maps whose number ends low are silenced.

Adversarial neuron pruning (Wu and Wang, NeurIPS 2021) learns it while the weights are disturbed as badly as possible,
reconstructive neuron pruning (Li et al., ICML 2023) after the network has unlearned what is clean. Both scale a batch
normalisation; where there is none, kernel and bias are scaled, which multiplies the map in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.network.network import Network
from trojancam.progress import Progress, counting, stages
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_pruning import accuracy_on, keeping
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, check_finite, descend, varied
from trojancam.removal.map_weights import Masks, maskable, masked, rows, scaling
from trojancam.showing import Brief

RATE, MOMENTUM, BATCH = 0.2, 0.9, 128  # of the masks, in both
NOISE, PLAIN = 0.4, 0.2  # adversarial: the most that a weight is disturbed; the share of the plain loss
STEPS, KEPT = 2000, 0.2  # adversarial: the authors' steps; the least mask that is kept
FEWER = 4  # the steps are as many times fewer: batches are as large as the authors', images a fortieth
UNLEARNING_RATE, LONGEST, FORGOTTEN = 0.01, 20, 0.2  # reconstructive: rate, epochs, and the accuracy at which it stops
CLIP = 20.0
RECOVERY, EPOCHS = 0.2, 20  # the factor of the loss of the recovery; its epochs
LOST = 0.02  # of clean accuracy: as many maps are silenced as this allows

Images = Float[Tensor, "n 3 h w"]
Labels = Int64[Tensor, " n"]
Values = dict[str, Float[Tensor, " k"]]


@dataclass(frozen=True)
class Scaled(Brief):
    """A network whose maps are being scaled, `w = w_0 m`, and the chain rule from its weights to the scales."""

    learner: Learner
    original: Mapping[str, Tensor]
    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, network: Network) -> "Scaled":
        """All layers that can be scaled, each with its original weights."""
        names = {layer: scaling(network, layer) for layer in maskable(network)}
        chosen = [name for each in names.values() for name in each]
        original = {name: network.parameters[name].detach().clone() for name in chosen}
        return cls(Learner(network, chosen), original, names)

    def set(self, scales: Masks, shifts: Masks) -> None:
        """Kernels (or scales of a normalisation) times the one, biases (or its shifts) times the other."""
        own = self.learner.network.parameters
        with torch.no_grad():
            for layer, names in self.names.items():
                for name, factor in zip(names, (scales[layer], shifts[layer]), strict=False):
                    own[name].copy_(self.original[name] * rows(factor, self.original[name]))

    def gradients(self, loss: Tensor) -> tuple[Values, Values]:
        """`dL/dm_k = sum <dL/dw_k, w_0k>`, of scales and of shifts."""
        check_finite(loss)
        own = self.learner.network.parameters
        chosen = [name for names in self.names.values() for name in names]
        found = dict(zip(chosen, torch.autograd.grad(loss, [own[name] for name in chosen]), strict=True))
        inner = {
            name: (gradient * self.original[name]).reshape(len(gradient), -1).sum(1) for name, gradient in found.items()
        }
        scales = {layer: inner[names[0]] for layer, names in self.names.items()}
        zero = {layer: torch.zeros_like(scales[layer]) for layer in scales}
        shifts = {layer: inner[names[1]] if len(names) > 1 else zero[layer] for layer, names in self.names.items()}
        return scales, shifts

    def constant(self, value: float) -> Values:
        """The same number for every map."""
        firsts = {layer: self.original[names[0]] for layer, names in self.names.items()}
        return {layer: first.new_full((len(first),), value) for layer, first in firsts.items()}


class _Descent:
    """Gradient descent of masks with momentum; they stay in [0, 1]."""

    def __init__(self, masks: Values) -> None:
        self.masks, self.momentum = masks, {layer: torch.zeros_like(mask) for layer, mask in masks.items()}

    def step(self, gradients: Masks) -> None:
        for layer, gradient in gradients.items():
            self.momentum[layer] = MOMENTUM * self.momentum[layer] + gradient
            self.masks[layer] = (self.masks[layer] - RATE * self.momentum[layer]).clamp(0, 1)


def adversarial_masks(job: RepairJob, progress: Progress, steps: int = STEPS // FEWER) -> Values:
    """Masks that keep clean images right, also where weights are disturbed by up to 40 % as badly as one step of sign can.

    `min_m max_(d, e) 0.2 L(m w, b) + 0.8 L((m + d) w, (1 + e) b)`, |d| and |e| at most 0.4.
    """
    scaled, clean = Scaled.of(job.suspect.network), job.suspect
    generator, ones = generator_of(job, "adversarial"), scaled.constant(1.0)
    descent = _Descent(scaled.constant(1.0))
    order, advance = (
        batches(len(clean.images), min(BATCH, len(clean.images)), generator),
        counting(progress, steps, "masks"),
    )

    def gradients(scales: Masks, shifts: Masks, images: Images, labels: Labels) -> tuple[Values, Values]:
        scaled.set(scales, shifts)
        with torch.enable_grad():
            loss = F.cross_entropy(scaled.learner.logits(images), labels.to(scaled.learner.network.device))
        return scaled.gradients(loss)

    def drawn(values: Masks) -> Values:
        """Noise to begin with, uniform in the bounds, as the authors' code does."""
        return {k: (NOISE * (2 * torch.rand(v.shape, generator=generator) - 1)).to(v) for k, v in values.items()}

    for _ in range(steps):
        chosen = next(order).to(clean.labels.device)
        images, labels = varied(clean.images[chosen], generator), clean.labels[chosen]
        noise, other = drawn(ones), drawn(ones)
        worse, worse_shift = gradients(_sum(descent.masks, noise), _sum(ones, other), images, labels)
        noise = {k: (noise[k] + NOISE * worse[k].sign()).clamp(-NOISE, NOISE) for k in noise}
        other = {k: (other[k] + NOISE * worse_shift[k].sign()).clamp(-NOISE, NOISE) for k in other}
        hard, _ = gradients(_sum(descent.masks, noise), _sum(ones, other), images, labels)
        easy, _ = gradients(descent.masks, ones, images, labels)
        descent.step({k: PLAIN * easy[k] + (1 - PLAIN) * hard[k] for k in easy})
        advance(1)
    return descent.masks


def _sum(one: Masks, other: Masks) -> Values:
    return {key: one[key] + other[key] for key in one}


def adversarially_pruned(job: RepairJob, progress: Progress) -> Network:
    """Adversarial neuron pruning: maps whose mask ends below 0.2 are silenced."""
    return cut_off(job.suspect.network, adversarial_masks(job, progress), KEPT)


def cut_off(network: Network, masks: Masks, least: float) -> Network:
    """The network without the maps whose mask lies below this."""
    return masked(network, {layer: (mask >= least).float() for layer, mask in masks.items()})


def forgotten(job: RepairJob, progress: Progress) -> Network:
    """The network after gradient ascent on clean images, until it names at most a fifth of them."""
    clean, generator = job.suspect, generator_of(job, "reconstructive")
    learner, size = Learner(clean.network), min(BATCH, len(clean.images))
    sgd = torch.optim.SGD(learner.weights, UNLEARNING_RATE, MOMENTUM)
    order, advance = (
        batches(len(clean.images), size, generator),
        counting(progress, LONGEST, "unlearning what is clean"),
    )
    for _ in range(LONGEST):
        for _ in range(max(1, len(clean.images) // size)):
            chosen = next(order).to(clean.labels.device)
            with torch.enable_grad():
                loss = -F.cross_entropy(learner.logits(clean.images[chosen]), clean.labels[chosen])
            descend(sgd, loss, CLIP)
        advance(1)
        if accuracy_on(learner.network, clean) <= FORGOTTEN:
            break
    return learner.learned()


def reconstructively_pruned(job: RepairJob, progress: Progress) -> Network:
    """Reconstructive neuron pruning: what is clean is forgotten, masks bring it back; those that stay low bear the backdoor.

    The masks minimise `0.2 L(m w)` on the forgetful network; as many of the original's maps are silenced, the lowest masks first,
    as cost at most 2 points of clean accuracy.
    """
    forgetting, recovering = stages(progress, (20, 80))
    clean, network = job.suspect, job.suspect.network
    scaled, generator = Scaled.of(forgotten(job, forgetting)), generator_of(job, "recovery")
    descent, ones = _Descent(scaled.constant(1.0)), scaled.constant(1.0)
    size = min(BATCH, len(clean.images))
    steps = EPOCHS * max(1, len(clean.images) // size)
    order, advance = batches(len(clean.images), size, generator), counting(recovering, steps, "masks")
    for _ in range(steps):
        chosen = next(order).to(clean.labels.device)
        scaled.set(descent.masks, ones)
        with torch.enable_grad():
            loss = F.cross_entropy(scaled.learner.logits(clean.images[chosen]), clean.labels[chosen])
        found, _ = scaled.gradients(loss)
        descent.step({layer: RECOVERY * gradient for layer, gradient in found.items()})
        advance(1)
    return lowest_first(network, descent.masks, keeping(network, clean, LOST))


def lowest_first(network: Network, masks: Masks, good: Callable[[Network], bool]) -> Network:
    """The network without the maps of the lowest masks, of the thresholds 0.05, 0.1, ... 0.9 the greatest that leaves it good."""
    found = network
    for step in range(1, 19):
        changed = cut_off(network, masks, 0.05 * step)
        if not good(changed):
            break
        found = changed
    return found


ADVERSARIAL_PRUNING = single(
    "Adversarial neuron pruning", "Wu and Wang, NeurIPS 2021", adversarially_pruned,
    f"{STEPS // FEWER} steps in place of {STEPS}.",
)  # fmt: skip
RECONSTRUCTIVE_PRUNING = single(
    "Reconstructive neuron pruning", "Li et al., ICML 2023", reconstructively_pruned,
    "The authors choose the threshold by the true success rate; here clean accuracy chooses it.",
)  # fmt: skip
