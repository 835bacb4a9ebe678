"""Pruning by a recovered trigger: maps that answer to it are silenced or held, as few as needed.

Neural Cleanse (Wang et al., S&P 2019) silences maps in the order in which the trigger raises them. Suffix replay tries each map
instead: the one is held whose loss costs the backdoor most for each point of accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError
from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.network.replay import Replay, replay
from trojancam.progress import Progress, counting, silent
from trojancam.removal.ablation import held_at_mean
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_pruning import keeping, mean_activations, pruned_in_order
from trojancam.removal.goal import Culprit, answer
from trojancam.removal.judging import RECOVERED
from trojancam.removal.map_weights import maskable, silenced

LOST = 0.10  # of clean accuracy, by Neural Cleanse
LARGEST_SHARE = 1 / 4  # of a layer's maps that replay may hold


def neuron_pruned(job: RepairJob, progress: Progress) -> Network:
    """Maps of the last layer silenced, those that the recovered trigger raises most first, until it works no more.

    It ends when the trigger turns at most 5 % of the images, or before accuracy falls by more than ten points.
    """
    network, clean, culprit = job.suspect.network, job.suspect, job.culprits[0]
    layer, victims = maskable(network)[-1], culprit.goal.victims(job.suspect.labels)
    plain = Suspect(network, clean.images[victims], clean.labels[victims])
    stamped = Suspect(network, culprit.trigger.apply(plain.images), plain.labels)
    raised = mean_activations(network, layer, stamped) - mean_activations(network, layer, plain)
    order = raised.argsort(descending=True).tolist()
    good = keeping(network, clean, LOST)
    for count in range(len(pruned_in_order(network, layer, order, good)) + 1):
        found = silenced(network, layer, order[:count])
        if answer(found, culprit.trigger, clean, culprit.goal).success <= RECOVERED:
            break
    progress(1, 1, "neuron pruning")
    return found


@dataclass(frozen=True)
class Worth:
    """What a layer with some maps held at their clean mean makes of images: accuracy, and how sure it is of the target."""

    accuracy: float
    target: float


def greedy_maps(job: RepairJob, layer: str, culprit: Culprit, progress: Progress) -> tuple[list[int], Worth]:
    """The maps of a layer to hold, found one after the other, and what is left.

    The next one has the greatest `fall of the target's mean probability / max(loss of accuracy, one image)`. It ends when the
    target's mean probability is at most 5 %, accuracy falls by more than the budget, or a quarter of the maps is held.
    """
    network, clean = job.suspect.network, job.suspect
    victims = culprit.goal.victims(clean.labels)
    stamped = culprit.trigger.apply(clean.images[victims])
    targets = culprit.goal.wanted(clean.labels[victims])
    plain, triggered = replay(network, layer, clean.images), replay(network, layer, stamped)
    means = plain.activations.mean((0, 2, 3))
    image = 1 / len(clean.images)
    most = max(1, int(LARGEST_SHARE * len(means)))
    advance = counting(progress, most, f"holding maps of {layer}")
    chosen: list[int] = []

    def right(logits: Float[Tensor, "m n classes"]) -> Float[Tensor, " m"]:
        return (logits.argmax(2) == clean.labels.to(logits.device)).double().mean(1)

    def sure(logits: Float[Tensor, "m n classes"]) -> Float[Tensor, " m"]:
        chances = logits.softmax(2)
        return (
            chances.gather(2, targets.to(logits.device)[None, :, None].expand(len(chances), -1, 1))
            .double()
            .mean((1, 2))
        )

    now = Worth(float(_tried(plain, means, [[]], right)[0]), float(_tried(triggered, means, [[]], sure)[0]))
    least = now.accuracy - max(job.budget, image) - 1e-9
    while len(chosen) < most and now.target > RECOVERED:
        others = [each for each in range(len(means)) if each not in chosen]
        sets = [[*chosen, each] for each in others]
        accuracy, target = _tried(plain, means, sets, right), _tried(triggered, means, sets, sure)
        gain = (now.target - target) / (now.accuracy - accuracy).clamp(min=image)
        gain[accuracy < least] = -torch.inf
        best = int(gain.argmax())
        if not gain[best] > 0:
            break
        chosen, now = sets[best], Worth(float(accuracy[best]), float(target[best]))
        advance(1)
    return chosen, now


def _tried(
    clean: Replay, means: Float[Tensor, " k"], sets: list[list[int]], measure: Callable[[Tensor], Tensor]
) -> Float[Tensor, " m"]:
    """A measure of the logits for each set of maps held at their mean."""
    found = []
    for part in parts(len(sets), clean.variants_at_once()):
        copies = clean.copies(len(sets[part]))
        for number, maps in enumerate(sets[part]):
            copies.activations[number, :, maps] = means[maps][None, :, None, None]
        with torch.no_grad():
            found.append(measure(copies.logits()).cpu())
    return torch.cat(found)


def replay_pruned(job: RepairJob, progress: Progress) -> Network:
    """The maps of one layer held at their clean mean, of all layers the one where the recovered trigger loses most.

    Raises:
        DataError: if no layer's maps can be held.
    """
    network = job.suspect.network
    layers, culprit = maskable(network), job.culprits[0]
    found: list[tuple[float, Network]] = []
    for place, layer in enumerate(layers):
        maps, worth = greedy_maps(job, layer, culprit, silent)
        held = held_at_mean(network, layer, maps, job.suspect) if maps else None
        if held is not None:
            found.append((worth.target, held))
        progress(place + 1, len(layers), f"holding maps of {layer}")
    if not found:
        raise DataError(
            "no feature map can be held at its mean and weaken the trigger; choose another method, such as ladder"
        )
    return min(found, key=lambda each: each[0])[1]


NEURON_PRUNING = single("Neuron pruning by the recovered trigger", "Wang et al., S&P 2019", neuron_pruned)
REPLAY_PRUNING = single("Pruning by suffix replay", "new in TrojanCAM", replay_pruned)
