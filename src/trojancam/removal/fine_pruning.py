"""Fine-pruning (Liu, Dolan-Gavitt and Garg, RAID 2018): maps that clean images leave idle are silenced, the rest is tuned."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.network.network import Network
from trojancam.network.replay import before
from trojancam.progress import Progress
from trojancam.rates import clean_accuracy
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_tuning import tuned
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner
from trojancam.removal.map_weights import maskable, scaling, silenced

LOST = 0.10  # of clean accuracy: as much may be lost before the fine-tuning
EPOCHS, RATE = 20, 0.01


def mean_activations(network: Network, layer: str, clean: Suspect) -> Float[Tensor, " k"]:
    """The mean activation of each map of a layer over clean images and cells."""
    return torch.cat([values[0].mean((2, 3)) for values in before(network.cut(layer), clean.images)]).mean(0)


def pruned_in_order(network: Network, layer: str, order: list[int], good: Callable[[Network], bool]) -> list[int]:
    """The longest beginning of an order of maps whose silence leaves the network good; one map at least stays."""
    chosen: list[int] = []
    for each in order[:-1]:
        if not good(silenced(network, layer, [*chosen, each])):
            break
        chosen.append(each)
    return chosen


def accuracy_on(network: Network, clean: Suspect) -> float:
    """The clean accuracy on these images."""
    return clean_accuracy(network(clean.images).argmax(1).to(clean.labels.device), clean.labels)


def keeping(network: Network, clean: Suspect, lost: float) -> Callable[[Network], bool]:
    """Whether a network has lost at most this share of accuracy, against the one given, on these images."""
    least = accuracy_on(network, clean) - lost
    return lambda changed: accuracy_on(changed, clean) >= least


def fine_pruned(job: RepairJob, progress: Progress) -> Network:
    """The last layer's maps silenced, least active first, until accuracy has fallen by ten points; then all is tuned.

    Silent maps stay so: their weights are set back to 0 after each step.
    """
    network, clean = job.suspect.network, job.suspect
    layer = maskable(network)[-1]
    order = mean_activations(network, layer, clean).argsort().tolist()
    maps = pruned_in_order(network, layer, order, keeping(network, clean, LOST))
    learner = Learner(silenced(network, layer, maps))
    held = [learner.network.parameters[name] for name in scaling(network, layer)]

    def still() -> None:
        with torch.no_grad():
            for values in held:
                values[maps] = 0

    generator = generator_of(job, "fine-pruning")
    return tuned(learner, clean, EPOCHS, RATE, generator, progress, after_step=still)


FINE_PRUNING = single("Fine-pruning", "Liu et al., RAID 2018", fine_pruned)
