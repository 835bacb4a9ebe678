"""Fine-tuning of several kinds: the steps that published repairs are made of, with their authors' constants."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError
from trojancam.network.network import Network
from trojancam.progress import Progress, counting
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.goal import Culprit
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, descend, varied

BATCH = 128
MOMENTUM = 0.9
LONGEST_GRADIENT = 10.0  # of all weights together: our port to networks without batch normalisation
UNLEARNED_SHARE = 0.2  # Wang et al. 2019
FST_ALPHA = 0.01  # of many classes; its authors take 0.1 for ten

Images = Float[Tensor, "n 3 h w"]
Labels = Int64[Tensor, " n"]
Poisoned = Callable[[Images, torch.Generator], Images]
Loss = Callable[[Learner, Images, Labels], Tensor]


def cross_entropy(learner: Learner, images: Images, labels: Labels) -> Tensor:
    """The loss of plain fine-tuning."""
    return F.cross_entropy(learner.logits(images), labels.to(learner.network.device))


def tuned(
    learner: Learner,
    clean: Suspect,
    epochs: int,
    rate: float,
    generator: torch.Generator,
    progress: Progress,
    *,
    loss: Loss = cross_entropy,
    changed: Poisoned = lambda images, _: images,
    after_step: Callable[[], None] = lambda: None,
    decay: float = 0.0,
) -> Network:
    """The network after so many epochs of SGD with momentum 0.9 and a cosine to zero; images are varied a little.

    Gradients longer than 10 are shortened to that: the authors' rates are those of networks with batch normalisation, and
    others diverge at them.

    `changed` is what is done to a batch's images, such as stamping a share of them; labels stay true.
    """
    count = len(clean.images)
    size = min(BATCH, count)
    steps = epochs * max(1, count // size)
    sgd = torch.optim.SGD(learner.weights, rate, MOMENTUM, weight_decay=decay)
    advance, order = counting(progress, steps, "fine-tuning"), batches(count, size, generator)
    for step in range(steps):
        chosen = next(order).to(clean.labels.device)
        images = changed(varied(clean.images[chosen], generator), generator)
        sgd.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.enable_grad():
            found = loss(learner, images, clean.labels[chosen])
        descend(sgd, found, LONGEST_GRADIENT)
        after_step()
        advance(1)
    return learner.learned()


def stamping(culprits: tuple[Culprit, ...], share: float) -> Poisoned:
    """A share of a batch's images gets a recovered trigger on, of each culprit in turn."""

    def change(images: Images, generator: torch.Generator) -> Images:
        chosen = torch.randperm(len(images), generator=generator)[: round(share * len(images))].to(images.device)
        result = images.clone()
        for place, culprit in enumerate(culprits):
            mine = chosen[place :: len(culprits)]
            if len(mine):
                result[mine] = culprit.trigger.apply(images[mine])
        return result

    return change


def _unlearned(job: RepairJob, progress: Progress) -> Network:
    """Neural Cleanse's unlearning, for ten epochs in place of one, as images are few: one in five is stamped."""
    learner = Learner(job.suspect.network)
    generator = generator_of(job, "neural-cleanse")
    return tuned(learner, job.suspect, 10, 0.01, generator, progress, changed=stamping(job.culprits, UNLEARNED_SHARE))


def _fst(job: RepairJob, progress: Progress) -> Network:
    """Feature shift tuning: the last layer begins anew and is pushed away from where it was, all weights are tuned.

    `CE + alpha <W, W_0>`; after each step W is brought back to the length of W_0.
    """
    network, generator = job.suspect.network, generator_of(job, "fst")
    name = last_weight(network)
    original = network.parameters[name].detach().clone()
    bound = 1 / math.sqrt(original.shape[1])
    fresh = (2 * torch.rand(original.shape, generator=generator) - 1).to(original) * bound
    learner = Learner(network.with_parameters({name: fresh}))
    weight = learner.network.parameters[name]

    def loss(learner: Learner, images: Images, labels: Labels) -> Tensor:
        return cross_entropy(learner, images, labels) + FST_ALPHA * (weight * original).sum()

    def rescale() -> None:
        with torch.no_grad():
            weight.mul_(original.norm() / weight.norm())

    return tuned(learner, job.suspect, 10, 0.01, generator, progress, loss=loss, after_step=rescale)


def last_weight(network: Network) -> str:
    """The kernel of the last dense layer.

    Raises:
        DataError: if there is none.
    """
    own = network.parameters
    dense = [name for name in own if own[name].ndim == 2]
    if not dense:
        raise DataError("this repair begins the last dense layer anew, and the network has none; choose another method")
    return dense[-1]


BASELINES = {
    "fine-tuning": single(
        "Fine-tuning", "the usual baseline",
        lambda job, progress: tuned(
            Learner(job.suspect.network), job.suspect, 20, 0.01, generator_of(job, "fine-tuning"), progress
        ),
    ),
    "unlearning": single("Unlearning of the recovered trigger", "Wang et al., S&P 2019", _unlearned),
    "fst": single("Feature shift tuning", "Min et al., NeurIPS 2023", _fst),
}  # fmt: skip
"""Repairs that fine-tune all weights, by name."""
