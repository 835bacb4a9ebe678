"""The ladder: ablate the maps that were found, then unlearn with the last layers, with all, and with all for longer."""

import zlib
from collections.abc import Iterator

import torch

from trojancam.network.network import Network
from trojancam.progress import Progress, counting, stages
from trojancam.removal.ablation import held_at_mean
from trojancam.removal.contract import Repair, RepairJob, Rung
from trojancam.removal.fresh import ChangeKind
from trojancam.removal.goal import Culprit, found_maps
from trojancam.removal.unlearning import Course, head, normalised, unlearned, with_kept_pools

LARGEST_SHARE = 1 / 4  # of a layer's maps that may be ablated
EFFORTS = 27, 60  # as `Rung` counts it: triggers to unlearn, which are looked for once, and unlearning
STEPS = {"head": 120, "all": 120, "all2": 150}
MORE = 40  # steps for each further finding
RATES = {"head": 0.01, "all": 0.004, "all2": 0.006}
NORMALISED_RATES = {"head": 0.01, "all": 0.006, "all2": 0.01}


def rungs(job: RepairJob) -> Iterator[Rung]:
    """The rungs that this network has: no ablation where no maps are known, no head where there is but one dense layer.

    Nor is there one where a change of the whole image was found. The layers before the head still carry such a change. A true one
    that is larger than those that the head unlearned gets through, past a judge who looks for none as large.
    """
    if (ablated := ablation(job)) is not None:
        network = ablated
        yield Rung(
            "ablate", "the feature maps that were found are held at their clean mean", lambda _: network, effort=0
        )
    last = head(job.suspect.network)
    if last and not any(isinstance(culprit.kind, ChangeKind) for culprit in job.culprits):
        yield _unlearning(job, "head", "the dense layers unlearn the trigger and all its like", last)
    yield _unlearning(job, "all", "all layers unlearn the trigger and all its like", None)
    yield _unlearning(job, "all2", "all layers unlearn for longer and faster", None)


def ablation(job: RepairJob) -> Network | None:
    """The network with the found maps of all culprits held; None where there are none, too many, or they cannot be held."""
    network = job.suspect.network
    chosen = found_maps(job.culprits)
    for layer, maps in chosen.items():
        if len(maps) > LARGEST_SHARE * job.suspect.network.layer(layer).feature_maps:
            return None
        held = held_at_mean(network, layer, maps, job.suspect)
        if held is None:
            return None
        network = held
    return network if chosen else None


def course(job: RepairJob, name: str, names: tuple[str, ...] | None) -> Course:
    """How long and how fast a rung learns."""
    rates = NORMALISED_RATES if normalised(job.suspect.network) else RATES
    return Course(STEPS[name] + MORE * (len(job.culprits) - 1), rates[name], names)


def pooled(job: RepairJob) -> tuple[Culprit, ...]:
    """The culprits with their pools, found now or when the job was begun before."""
    return with_kept_pools(job.journal, "pool", job.culprits, job.suspect, generator_of(job, "pool"))


def generator_of(job: RepairJob, name: str) -> torch.Generator:
    """The draws of a part of a job: the same ones whatever was done before it."""
    return torch.Generator().manual_seed(zlib.crc32(f"{job.seed} {name}".encode()))


def _unlearning(job: RepairJob, name: str, words: str, names: tuple[str, ...] | None) -> Rung:
    def work(progress: Progress) -> Network:
        network, chosen = job.suspect.network, course(job, name, names)
        seeking, learning = stages(progress, EFFORTS)
        seeking(0, 1, "looking for triggers to unlearn")
        culprits = pooled(job)
        advance = counting(learning, chosen.steps, f"unlearning: {name}")
        return unlearned(network, network, culprits, job.suspect, chosen, generator_of(job, name), advance)

    return Rung(name, words, work, effort=sum(EFFORTS))


LADDER = Repair("The ladder", "new in TrojanCAM", rungs)
