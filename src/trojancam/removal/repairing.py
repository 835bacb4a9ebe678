"""Repairing: a network, clean images and findings become a network without the backdoor, or one that is called not repaired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from trojancam.detection.findings import Finding
from trojancam.detection.suspect import Suspect, suspect
from trojancam.errors import DataError
from trojancam.kept import Kept
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, shown, stages
from trojancam.rates import clean_accuracy
from trojancam.registry import Registry
from trojancam.removal.attention_distillation import DISTILLATION
from trojancam.removal.bounding import BOUNDING
from trojancam.removal.contract import Repair, RepairJob, Rung, as_repair
from trojancam.removal.deepsweep_tuning import DEEPSWEEP
from trojancam.removal.fine_pruning import FINE_PRUNING
from trojancam.removal.fine_tuning import BASELINES
from trojancam.removal.goal import Culprit
from trojancam.removal.implicit_unlearning import IMPLICIT
from trojancam.removal.judging import Ruling, accused, ruling_on
from trojancam.removal.ladder import LADDER, generator_of
from trojancam.removal.lipschitz_pruning import LIPSCHITZ_PRUNING
from trojancam.removal.mask_learning import ADVERSARIAL_PRUNING, RECONSTRUCTIVE_PRUNING
from trojancam.removal.sharpness import SHARPNESS
from trojancam.removal.strategic import RESET, STRATEGIC
from trojancam.removal.trigger_pruning import NEURON_PRUNING, REPLAY_PRUNING
from trojancam.showing import Brief
from trojancam.version import __version__

_OWN: Mapping[str, Repair] = {
    "ladder": LADDER,
    **BASELINES,
    "strategic": STRATEGIC,
    "reset": RESET,
    "neuron-pruning": NEURON_PRUNING,
    "replay-pruning": REPLAY_PRUNING,
    "fine-pruning": FINE_PRUNING,
    "clp": LIPSCHITZ_PRUNING,
    "anp": ADVERSARIAL_PRUNING,
    "rnp": RECONSTRUCTIVE_PRUNING,
    "nad": DISTILLATION,
    "ft-sam": SHARPNESS,
    "i-bau": IMPLICIT,
    "deepsweep": DEEPSWEEP,
    "mm-bm": BOUNDING,
}
REPAIRS = Registry("repair", "trojancam.repairs", as_repair, _OWN)
"""All repairs by name. `REPAIRS.register("mine")` adds a function of a `RepairJob` that returns a network; so does an entry point
of the group `trojancam.repairs`."""
DEFAULT = "ladder"
MOST = 5  # findings that are removed at once
HELD_BACK = 20  # images, at least, that only the judge sees
LEAST_ACCURACY = 0.3  # of labelled images: with less, the labels are not the network's
PREPARING, JUDGING = 70, 40  # of the progress, beside the effort of a rung: the judge's triggers, and each judgement


@dataclass(frozen=True)
class Try(Brief):
    """A rung that was tried, the network that came of it, and what the judge says of that."""

    rung: str
    words: str
    network: Network
    ruling: Ruling


@dataclass(frozen=True)
class Outcome(Brief):
    """What a repair came to: the tries in order, and which of them is the result (None: none is within the accuracy budget).

    `before` is what the judge measures of the network that was to be repaired; `held_back` are the places of the images that the
    judge alone saw.
    """

    method: str
    culprits: tuple[Culprit, ...]
    before: Ruling
    tries: tuple[Try, ...]
    chosen: int | None
    held_back: Int64[Tensor, " m"]

    @property
    def repaired(self) -> bool:
        """Whether the judge passes the result."""
        return self.chosen is not None and self.tries[self.chosen].ruling.passed

    @property
    def best(self) -> Try | None:
        """The try that passed, or else came closest within the accuracy budget."""
        return None if self.chosen is None else self.tries[self.chosen]


def remove(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    findings: Sequence[Finding],
    method: str = DEFAULT,
    *,
    budget: float = 0.01,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Remove what was found from a network: the method's tries, each judged, until one passes.

    `images` are clean ones with their true classes, at least two of each class. One of each, and at least 20, are held back for
    the judge. `budget` is the share of clean accuracy that may be lost. Nothing of the network's model card is read. With
    `journal`, a folder, every finished step is kept there: the same repair, killed and begun again, goes on to the same result.

    Raises:
        UnknownNameError: if there is no such method, or a label is no class of the network.
        DataError: if there are fewer than two images of a class, the labels do not fit the network, the network cannot take the
            images, or no finding has a trigger.
    """
    chosen = REPAIRS.named(method)
    seen = suspect(network, images, labels)
    check_labels(seen)
    culprits = culprits_of(findings, seen.classes)
    ours, judges, places = split(seen)
    told = shown(progress)
    names = [each.finding.to_json() for each in culprits]
    run = f"{__version__} {seen.fingerprint()} {names!r} {method} {budget!r} {seed} {REPAIRS.code(method)}"
    kept = Kept(journal, run)
    job = RepairJob(ours, culprits, budget, seed, kept)
    rungs = list(chosen.rungs(job))
    shares = [PREPARING, *(rung.effort + JUDGING for rung in rungs)]
    preparing, *trying = stages(told, shares)
    preparing(0, 1, "looking for triggers to judge by")
    charged = accused(kept, culprits, judges, generator_of(job, "judge"))
    before = _kept_ruling(job, "before", seen.network, judges, charged, None)
    preparing(1, 1, "the network as it is was judged")
    tries: list[Try] = []
    for rung, stage in zip(rungs, trying, strict=True):
        tries.append(_tried(job, rung, judges, charged, before, stage))
        if tries[-1].ruling.passed:
            break
    told(sum(shares), sum(shares), "repaired" if tries[-1].ruling.passed else "not repaired")
    return Outcome(method, culprits, before, tuple(tries), _best(tries, before, budget), places)


def _tried(
    job: RepairJob, rung: Rung, judges: Suspect, charged: Sequence[Culprit], before: Ruling, progress: Progress
) -> Try:
    """A rung done now, or when the job was begun before; and judged."""
    working, judging = stages(progress, (rung.effort, JUDGING))
    original = rung.base or job.suspect.network
    values = job.journal.step(f"{rung.name}/weights", lambda: dict(rung.work(working).parameters))
    changed = original.with_parameters(values)
    judging(0, 1, f"judging: {rung.name}")
    ruling = _kept_ruling(job, rung.name, changed, judges, charged, before.accuracy)
    judging(1, 1, f"{rung.name}: {'passed' if ruling.passed else 'not enough'}")
    return Try(rung.name, rung.words, changed, ruling)


def _kept_ruling(
    job: RepairJob, name: str, network: Network, judges: Suspect, charged: Sequence[Culprit], before: float | None
) -> Ruling:
    def work() -> object:
        return ruling_on(network, charged, judges, before, job.budget, job.seed).to_json()

    return Ruling.from_json(job.journal.data(f"{name}/ruling", work))


def _best(tries: Sequence[Try], before: Ruling, budget: float) -> int | None:
    """The try that passed; else, of those within the accuracy budget, the one whose backdoor answers least."""
    if tries and tries[-1].ruling.passed:
        return len(tries) - 1
    allowed = max(budget, 1 / before.images) + 1e-6
    able = [n for n, each in enumerate(tries) if before.accuracy - each.ruling.accuracy <= allowed]
    return min(able, key=lambda number: tries[number].ruling.worst, default=None)


def culprits_of(findings: Sequence[Finding], classes: int) -> tuple[Culprit, ...]:
    """What is to be removed: the strongest findings that have a trigger which changes anything.

    Raises:
        DataError: if there is none.
    """
    able = [finding for finding in findings if finding.trigger is not None and finding.trigger.size > 0]
    if not able:
        raise DataError(
            "no finding has a recovered trigger, so there is nothing to unlearn; scan with a method that recovers one, such as "
            "stimulation"
        )
    return tuple(Culprit.of(finding, classes) for finding in able[:MOST])


def check_labels(seen: Suspect) -> None:
    """Refuse images that a repair cannot learn from.

    Raises:
        DataError: if a class has only one image, or the labels do not fit what the network says.
    """
    counts = seen.labels.bincount(minlength=seen.classes)
    single = (counts == 1).nonzero()[:, 0].tolist()
    if single:
        name = seen.network.class_names[single[0]]
        others = f" and {len(single) - 1} other classes" if len(single) > 1 else ""
        raise DataError(
            f"there is only one image of the class {name!r}{others}; give at least two of each class, one to learn from and one "
            "to judge by"
        )
    accuracy = clean_accuracy(seen.network(seen.images).argmax(1).to(seen.labels.device), seen.labels)
    if accuracy < max(LEAST_ACCURACY, min(2 * LEAST_ACCURACY, 1.5 / seen.classes)):
        raise DataError(
            f"the network names only {accuracy:.0%} of the images as their labels say; check that the labels are in the "
            "network's order of classes, and how it is fed"
        )


def split(seen: Suspect) -> tuple[Suspect, Suspect, Int64[Tensor, " m"]]:
    """The images to learn from and those that are held back for the judge, and the places of the latter.

    One of each class is held back, and where that is fewer than 20, further ones of the largest classes in turn; one of each
    class at least stays.
    """
    labels = seen.labels.tolist()
    left: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        left.setdefault(label, []).append(place)
    held = [places.pop() for places in left.values() if len(places) > 1]
    while len(held) < HELD_BACK:
        largest = max(left.values(), key=len)
        if len(largest) < 2:
            break
        held.append(largest.pop())
    places = torch.tensor(sorted(held), device=seen.labels.device)
    ours = torch.tensor(sorted(set(range(len(labels))) - set(held)), device=seen.labels.device)
    return (
        Suspect(seen.network, seen.images[ours], seen.labels[ours]),
        Suspect(seen.network, seen.images[places], seen.labels[places]),
        places,
    )
