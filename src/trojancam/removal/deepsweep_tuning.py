"""DeepSweep as a repair: the network is fine-tuned on clean images after its intensive policy (Qiu et al., AsiaCCS 2021).

Its authors take a thousand clean images, five times, swept anew each time, and Adadelta at 0.03. They also sweep images of a
network in use by the light policy (`trojancam.defences.deepsweep.swept`); the judge asks the network without that.
"""

import torch

from trojancam.defences.deepsweep import swept_intensively
from trojancam.network.network import Network
from trojancam.progress import Progress, counting
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_tuning import BATCH, cross_entropy
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, descend

EPOCHS, RATE = 5, 0.03


def tuned_on_swept(job: RepairJob, progress: Progress) -> Network:
    """The network after five epochs of Adadelta on images that are swept anew each time."""
    clean, learner = job.suspect, Learner(job.suspect.network)
    count = len(clean.images)
    size = min(BATCH, count)
    steps = EPOCHS * max(1, count // size)
    adadelta = torch.optim.Adadelta(learner.weights, RATE)
    advance = counting(progress, steps, "fine-tuning on swept images")
    order = batches(count, size, generator_of(job, "deepsweep"))
    for step in range(steps):
        chosen = next(order).to(clean.labels.device)
        images = swept_intensively(clean.images[chosen], job.seed, step * size)
        with torch.enable_grad():
            loss = cross_entropy(learner, images, clean.labels[chosen])
        descend(adadelta, loss)
        advance(1)
    return learner.learned()


DEEPSWEEP = single("DeepSweep's fine-tuning", "Qiu et al., AsiaCCS 2021", tuned_on_swept)
