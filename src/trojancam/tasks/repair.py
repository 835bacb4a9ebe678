"""Repairing a network: scan it unless that was done, remove what was found, and set down what that cost."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from trojancam import detection
from trojancam.data.image_set import ImageSet
from trojancam.detection.findings import ScanReport
from trojancam.detection.suspect import Suspect, suspect
from trojancam.detection.words import share
from trojancam.errors import DataError
from trojancam.locks import only_run_in
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, shown, stages
from trojancam.removal.judging import ruling_on
from trojancam.removal.ledger import (
    MAY_COME_BACK,
    CleanReference,
    Ledger,
    ScanSummary,
    TryRecord,
    accuracy,
    bounded_layers,
    changes,
)
from trojancam.removal.reactivation import reactivation
from trojancam.removal.repairing import DEFAULT, Outcome, check_labels, remove
from trojancam.showing import Brief
from trojancam.tasks.repair_views import RepairView, repair_views
from trojancam.tasks.scan import as_report, culpable

BUDGET = 0.01  # of clean accuracy
SCANNED = 100  # images of a scan
FURTHER = 2000  # images, at most, that only measure
FEWEST_FURTHER = 50
SHARES = 450, 300, 250  # of the progress, as seconds were measured: the scan before, the repair, what is measured after
MEASURES = 80, 20  # of the last: the scan after, and how easily the backdoor comes back
STEPS = ("scan", "repair", "rescan")  # folders of a journal
LIMITS = (
    "Only what the scan found was removed. Another backdoor, of a kind that the scan does not find, is still there.",
    "The true trigger is not known. Success rates are those of triggers recovered from the network.",
    "The judge can be wrong. Of 15 networks that no constant was chosen by it passed 12. One of them, with an additive backdoor, "
    "still gave the attacker's class on 16 % of the images with the true trigger (docs/repair.md).",
)


@dataclass(frozen=True)
class Repaired(Brief):
    """A repair: the network that came of it (None: no try kept clean accuracy), the scan before and after, and the ledger.

    `network` is the best try where the verdict is "not repaired". `images` and `labels` are those on which accuracy was measured.
    """

    original: Network
    network: Network | None
    ledger: Ledger
    report: ScanReport
    rescan: ScanReport | None
    outcome: Outcome
    images: Tensor
    labels: Int64[Tensor, " n"]
    views: tuple[RepairView, ...] = ()

    @property
    def repaired(self) -> bool:
        """Whether the judge passes the network."""
        return self.ledger.verdict == "repaired"

    def __repr__(self) -> str:
        """Five lines: the verdict, clean accuracy, triggers, scans, and how easily the backdoor comes back."""
        return "\n".join(in_words(self.ledger))


def in_words(ledger: Ledger) -> tuple[str, str, str, str, str]:
    """A ledger in five lines."""
    head = f"{ledger.verdict}: {ledger.method}, {ledger.rung or 'no try kept clean accuracy'}"
    after = ledger.accuracy_after.overall if ledger.accuracy_after else None
    clean = f"clean accuracy: {ledger.accuracy_before.overall} before, {after or '-'} after"
    return head, clean, _triggers_in_words(ledger), _scans_in_words(ledger), _return_in_words(ledger)


def _triggers_in_words(ledger: Ledger) -> str:
    before, after = ledger.judged_before.trials[0], ledger.judged_after.trials[0] if ledger.judged_after else None
    if after is None:
        return f"recovered trigger: {share(before.success)} before"
    return (
        f"recovered trigger: {share(before.success)} before, {share(after.success)} after; fresh ones: {share(before.fresh)} "
        f"before, {share(after.fresh)} after (for other classes {share(after.control)})"
    )


def _scans_in_words(ledger: Ledger) -> str:
    before, after = ledger.scan_before, ledger.scan_after
    told = f"scan: {before.verdict}, score {before.score:.3g}, before"
    return told if after is None else f"{told}; {after.verdict}, score {after.score:.3g}, after"


def _return_in_words(ledger: Ledger) -> str:
    found, beside = ledger.reactivation, ledger.reference
    if found is None:
        return "how easily it comes back: not measured"
    clean = f" (on a clean network that learns from the same, {share(beside.reactivation.relearned)})" if beside else ""
    return (
        f"how easily it comes back: the trigger works on {share(found.relearned)} of images once the network learned from ten "
        f"poisoned ones{clean}, and on {share(found.pushed)} with a faint pattern over all of the image, which alone, "
        f"without the trigger, turns {share(found.push_alone)}"
    )


def repair(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    report: ScanReport | None = None,
    method: str = DEFAULT,
    *,
    test: tuple[given.GivenImages, given.GivenLabels] | None = None,
    scan_methods: str | Sequence[str] | None = None,
    budget: float = BUDGET,
    force: bool = False,
    reference: Network | None = None,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> Repaired:
    """Remove the backdoor that a scan finds in a network: scan, repair, judge, measure, and scan again.

    `images` are clean ones with their true classes, two or more of each class; a few of each are enough. `test` are further ones,
    which nothing is learned from: accuracy is measured and the network scanned again on them; without them, this is done on the
    images that were held back. `report` is the scan, if there was one. `reference` is a network of the same classes that is
    known to be clean: its figures stand beside those of the repaired one, and decide nothing. `budget` is the share of clean
    accuracy that may be lost. With `journal`, a folder, finished steps are kept, so that a repair that was killed goes on.
    Nothing of the network's model card is read, nor kept.

    Raises:
        UnknownNameError: if there is no such method, or a label is no class of the network.
        DataError: if the scan found nothing (unless `force` is given), a class has only one image, the labels do not fit the
            network, it cannot take the images, no finding has a trigger, or the reference is of other classes or images.
        TrojanCamError: if another run keeps its steps in that folder.
    """
    started = time.perf_counter()
    seen = suspect(network, images, labels)
    if report is not None:
        report = as_report(report)
    check_labels(seen)
    if reference is not None:
        _check_reference(network, reference)
    told = stages(shown(progress), SHARES if report is None else (0, *SHARES[1:]))
    with only_run_in(journal) if journal else nullcontext():
        if report is None:
            report = _scanned(network, _scan_images(seen, test), scan_methods, seed, _in(journal, "scan"), told[0])
        findings = culpable(report, force)
        seconds = {"scan": time.perf_counter() - started}
        outcome = remove(
            network, seen.images, seen.labels, findings, method,
            budget=budget, seed=seed, journal=_in(journal, "repair"), progress=told[1],
        )  # fmt: skip
        seconds["repair"] = time.perf_counter() - started - seconds["scan"]
        return _measured(seen, outcome, report, scan_methods, test, reference, seed, journal, told[2], seconds, started)


def parted(images: ImageSet, count: int, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """So many images of each class to learn from, and some of the rest to measure with: None, if these are few.

    >>> from trojancam.data.rendered import rendered_signs
    >>> ours, further = parted(rendered_signs(train=43, test=172).test, 2, seed=0)
    >>> len(ours), len(further)
    (86, 86)
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[images.labels[order] == label][:count] for label in images.labels.unique()])
    rest = order[~torch.isin(order, chosen)][:FURTHER]
    return images.select(chosen), images.select(rest) if len(rest) >= FEWEST_FURTHER else None


def _check_reference(network: Network, reference: Network) -> None:
    """Refuse a clean reference that nothing can be compared with."""
    for what, mine, its in (
        ("classes", len(network.class_names), len(reference.class_names)),
        ("pixels a side", network.input.size, reference.input.size),
    ):
        if mine != its:
            raise DataError(
                f"the clean reference network is one of {its} {what}, and the network of {mine}; give a reference that was "
                "trained for the same classes and images"
            )


def _in(journal: Path | None, name: str) -> Path | None:
    return journal / name if journal else None


def _scan_images(
    seen: Suspect, test: tuple[given.GivenImages, given.GivenLabels] | None
) -> tuple[given.GivenImages, given.GivenLabels]:
    """Every other further image, as many as a scan takes; without any, those of the repair."""
    if test is None:
        return seen.images, seen.labels
    further = suspect(seen.network, *test)
    return further.images[::2][:SCANNED], further.labels[::2][:SCANNED]


def _scanned(
    network: Network,
    clean: tuple[given.GivenImages, given.GivenLabels],
    methods: str | Sequence[str] | None,
    seed: int,
    journal: Path | None,
    progress: Progress,
) -> ScanReport:
    return detection.scan(network, *clean, methods, seed=seed, journal=journal, progress=progress)


def _measured(
    seen: Suspect,
    outcome: Outcome,
    report: ScanReport,
    methods: str | Sequence[str] | None,
    test: tuple[given.GivenImages, given.GivenLabels] | None,
    reference: Network | None,
    seed: int,
    journal: Path | None,
    progress: Progress,
    seconds: dict[str, float],
    started: float,
) -> Repaired:
    """The ledger of an outcome, and all that it is made of."""
    original, best = seen.network, outcome.best
    further = suspect(original, *test) if test is not None else None
    held_back = Suspect(original, seen.images[outcome.held_back], seen.labels[outcome.held_back])
    witnesses = further or held_back
    images, labels = witnesses.images, witnesses.labels
    learned = torch.ones(len(seen.images), dtype=torch.bool, device=seen.labels.device)
    learned[outcome.held_back] = False
    ours = Suspect(original, seen.images[learned], seen.labels[learned])
    again, back = None, None
    scanning, returning = stages(progress, MEASURES)
    if best is not None:
        names = tuple(report.opinions) or methods
        rest = (
            (further.images[1::2][:SCANNED], further.labels[1::2][:SCANNED]) if further else (seen.images, seen.labels)
        )
        again = _scanned(best.network, rest, names, seed, _in(journal, "rescan"), scanning)
        returning(0, 1, "measuring how easily the backdoor comes back")
        back = reactivation(best.network, outcome.culprits[0], ours, held_back, seed)
    beside = None
    if reference is not None:
        beside = CleanReference(
            accuracy(reference, images, labels),
            ruling_on(reference, outcome.culprits, held_back, None, 0.0, seed),
            reactivation(reference, outcome.culprits[0], ours, held_back, seed),
        )
    returning(1, 1, "measured")
    seconds["measures"] = time.perf_counter() - started - sum(seconds.values())
    ledger = Ledger(
        verdict="repaired" if outcome.repaired else "not repaired",
        method=outcome.method,
        rung=best.rung if best else None,
        judged_before=outcome.before,
        judged_after=best.ruling if best else None,
        accuracy_before=accuracy(original, images, labels),
        accuracy_after=accuracy(best.network, images, labels) if best else None,
        scan_before=ScanSummary.of(report),
        scan_after=ScanSummary.of(again) if again else None,
        modules=changes(original, best.network) if best else (),
        bounds=bounded_layers(original, best.network, ours) if best else (),
        reactivation=back,
        tries=tuple(TryRecord(each.rung, each.words, each.ruling) for each in outcome.tries),
        seconds=seconds,
        remarks=tuple(_remarks(seen, further is None, again)),
        reference=beside,
    )
    network = best.network if best else None
    views = repair_views(original, best.network, outcome.culprits[0], held_back) if best else ()
    return Repaired(original, network, ledger, report, again, outcome, images.cpu(), labels.cpu(), views)


def _remarks(seen: Suspect, nothing_further: bool, again: ScanReport | None) -> list[str]:
    """What the reader has to know before he trusts the ledger."""
    found = [MAY_COME_BACK, *LIMITS]
    absent = seen.classes - len(seen.labels.unique())
    if absent:
        found.append(f"There was no image of {absent} of the {seen.classes} classes: what it did to them is not known.")
    if nothing_further:
        found.append(
            "There were no images beside those of the repair: accuracy was measured on the few that were held back."
        )
    if again is not None and again.verdict != "nothing found":
        found.append(f"The scan after the repair says: {again.verdict}.")
    return found
