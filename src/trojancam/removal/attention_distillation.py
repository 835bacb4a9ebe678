"""Neural attention distillation (Li et al., ICLR 2021): a fine-tuned copy teaches the network where to look."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.network.network import Network
from trojancam.progress import Progress, stages
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_tuning import Images, Labels, tuned
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner

WEIGHTS = 500.0, 1000.0, 1000.0  # of the last three layers, the last one last
TEACHER_EPOCHS, EPOCHS, RATE = 10, 20, 0.01


def attention(activations: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c"]:
    """The attention map of each image, `mean_k |A_k|^2`, flattened, of length 1.

    >>> attention(torch.tensor([[[[3.0, 0.0]], [[0.0, 0.0]]]]))
    tensor([[1., 0.]])
    """
    return F.normalize(activations.square().mean(1).flatten(1), dim=1)


def distilled(job: RepairJob, progress: Progress) -> Network:
    """The network tuned to be right and to attend as a fine-tuned copy does, in its last three layers.

    `CE + sum_l b_l MSE(a_l, a_l of the teacher)`.
    """
    network, clean, generator = job.suspect.network, job.suspect, generator_of(job, "attention")
    teaching, learning = stages(progress, (TEACHER_EPOCHS, EPOCHS))
    teacher = tuned(Learner(network), clean, TEACHER_EPOCHS, RATE, generator, teaching)
    layers = tuple(network.layers)[-len(WEIGHTS) :]
    weights = WEIGHTS[-len(layers) :]

    def loss(learner: Learner, images: Images, labels: Labels) -> Tensor:
        logits, ours = learner.network.forward_with(learner.network.inputs(images), layers)
        with torch.no_grad():
            _, theirs = teacher.forward_with(teacher.inputs(images), layers)
        apart = [
            weight * F.mse_loss(attention(own), attention(other))
            for weight, own, other in zip(weights, ours, theirs, strict=True)
        ]
        return F.cross_entropy(logits, labels.to(logits.device)) + torch.stack(apart).sum()

    return tuned(Learner(network), clean, EPOCHS, RATE, generator, learning, loss=loss)


DISTILLATION = single("Neural attention distillation", "Li et al., ICLR 2021", distilled)
