"""Scanning a network: its report, the strong findings, what heat maps say of them, and an image to show each on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam import detection
from trojancam.attacks.trigger import Trigger
from trojancam.attribution import Attribution, grad_cam
from trojancam.detection.budget import Budget
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion
from trojancam.detection.references import Reference
from trojancam.detection.suspect import halves, suspect
from trojancam.detection.validation import LayerView, PlaceView, Validation, trigger_core, validated
from trojancam.errors import DataError, Remedy
from trojancam.evaluation.localisation import dilated, layer_energy
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.showing import Brief
from trojancam.stimulation import Stimulated, stimulate, stimulated_logits
from trojancam.tasks.results import on_processor
from trojancam.text import with_article

CASES = 3  # strong findings, at most, that are drawn and validated
SHORT_LIST = 32  # images, at most, among which one is chosen by its heat maps
OVERLAP = 0.5  # of the smaller trigger's core lies in the other's: then they are in one place
LOCAL = 0.25  # of the image, at most, is the core of a trigger with a place
EXAMPLES = 3  # images on which a change that lies in no one place is shown
FAINT = 1e-3  # energy that every heat map has

View = TypeVar("View", LayerView, PlaceView)


@dataclass(frozen=True)
class Case(Brief):
    """A strong finding by its number in the report, what heat maps say of it, and a clean image to show it on.

    The image is of another class than the finding's. `also` are the numbers of weaker findings that are folded into this one.
    `examples` show a change that lies in no one place: that image and two more. Of a finding with a class map, `sent` is the
    share of each class's images (rows) that go to each class (columns) with the recovered trigger; of a class without images
    it is not a number.
    """

    number: int
    finding: Finding
    validation: Validation
    image: Float[Tensor, "3 h w"]
    label: int
    views: "CaseViews"
    also: tuple[int, ...] = ()
    examples: tuple["Example", ...] = ()
    sent: Float[Tensor, "classes classes"] | None = None


@dataclass(frozen=True)
class Example(Brief):
    """An image before and after a recovered trigger, with the logits of both."""

    image: Float[Tensor, "3 h w"]
    changed: Float[Tensor, "3 h w"]
    logits: Float[Tensor, " classes"]
    logits_changed: Float[Tensor, " classes"]


@dataclass(frozen=True)
class CaseViews(Brief):
    """The image of a case as the network sees it: clean, stimulated, and with the recovered trigger on.

    The clean image is explained at the layer that shows the stimulated place best (`layer`), the stamped one at the layer
    that shows the trigger best and at the finding's own.
    """

    layer: str
    clean: Recording
    clean_cam: Attribution
    stimulated: Stimulated | None
    stamped_image: Float[Tensor, "3 h w"]
    stamped: Recording
    stamped_cams: Mapping[str, Attribution]


@dataclass(frozen=True)
class Scanned(Brief):
    """A scan of a network: its report, and the strong findings with what heat maps say of them."""

    network: Network
    report: ScanReport
    cases: tuple[Case, ...]


def scan(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    methods: str | Sequence[str] | None = None,
    *,
    families: str | Sequence[str] = (),
    victims: str | Sequence[str] = (),
    budget: float | str | Budget | None = None,
    reference: Reference | Path | str | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress = silent,
) -> Scanned:
    """Scan a network (see `trojancam.scan`), and validate the strong findings by heat maps.

    Raises:
        TrojanCamError: as `trojancam.scan` does.
    """
    images = given.images(network, images)
    labels = given.labels(network, labels, len(images))
    report = detection.scan(
        network,
        images,
        labels,
        methods,
        families=families,
        victims=victims,
        budget=budget,
        reference=reference,
        settings=settings,
        seed=seed,
        journal=journal,
        progress=progress,
    )
    return scanned(network, images, labels, report)


def scanned(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    labels: Int64[Tensor, " n"],
    report: ScanReport,
) -> Scanned:
    """The report with its strong findings validated by heat maps.

    The half of the images is taken that detectors leave out when they make triggers.

    Raises:
        TrojanCamError: if images or findings are not of this network.
    """
    report = on_processor(report)
    held_out = halves(suspect(network, images, labels))[1]
    images, labels = held_out.images.cpu(), held_out.labels.cpu()
    cases = []
    for number, also in folded(report).items():
        finding = report.findings[number]
        if _can_be_shown(finding, labels):
            validation = validated(network, images, labels, finding)
            convincing = _convincing(network, images, labels, finding)
            place = _shown(network, images, convincing, finding, validation)
            seen = _views(network, images[place], finding, validation)
            examples = _examples(network, images, labels, convincing, finding, place)
            sent = _sent(network, images, labels, finding.trigger) if finding.class_map and finding.trigger else None
            cases.append(
                Case(number, finding, validation, images[place], int(labels[place]), seen, also, examples, sent)
            )
    return Scanned(network, report, tuple(cases))


def _views(network: Network, image: Float[Tensor, "3 h w"], finding: Finding, validation: Validation) -> CaseViews:
    assert finding.trigger is not None
    target = logit(finding.target_class)
    shown = validation.stimulated
    layer = most(shown).layer if shown else most(validation.layers).layer
    clean = on_processor(record(network, image[None], target, [layer]))
    stimulation = finding.stimulation
    stamped_image = finding.trigger.apply(image[None])
    stamped = on_processor(record(network, stamped_image, target, {most(validation.layers).layer, validation.witness}))
    return CaseViews(
        layer=layer,
        clean=clean,
        clean_cam=grad_cam(clean)[layer],
        stimulated=None if stimulation is None else on_processor(stimulate(network, image[None], stimulation, target)),
        stamped_image=stamped_image[0],
        stamped=stamped,
        stamped_cams=grad_cam(stamped),
    )


def _sent(
    network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"], trigger: Trigger
) -> Float[Tensor, "classes classes"]:
    """The share of each class's images (rows) that go to each class with a trigger."""
    count = len(network.class_names)
    answers = network(trigger.apply(images)).argmax(1).cpu()
    pairs = torch.bincount(labels * count + answers, minlength=count * count).view(count, count).double()
    return pairs / pairs.sum(1, keepdim=True)


def strong(report: ScanReport) -> list[tuple[int, Finding]]:
    """The findings that are at least inconclusive by their own detector, each with its number."""
    numbered = enumerate(report.findings)
    return [(number, f) for number, f in numbered if f.score >= least(report, f.detector)]


def folded(report: ScanReport) -> dict[int, tuple[int, ...]]:
    """The strong findings that stand for themselves, a few at most, by number: each with those that are folded into it.

    A weaker finding is folded into a stronger one of the same class, and into one whose trigger is small and lies in the same
    place: where a patch is, other classes often answer, too.
    """
    kept: dict[int, tuple[int, ...]] = {}
    for number, finding in strong(report):
        same = next((each for each in kept if _is_one(report.findings[each], finding)), None)
        if same is not None:
            kept[same] = (*kept[same], number)
        elif len(kept) < CASES:
            kept[number] = ()
    return kept


def _is_one(stronger: Finding, weaker: Finding) -> bool:
    """Whether two findings are about one trigger, for all that can be told."""
    if stronger.target_class == weaker.target_class and bool(stronger.class_map) == bool(weaker.class_map):
        return True
    one, other = _small_core(stronger), _small_core(weaker)
    if one is None or other is None or one.shape != other.shape:
        return False
    return int((one & other).sum()) >= OVERLAP * min(int(one.sum()), int(other.sum()))


def _small_core(finding: Finding) -> Bool[Tensor, "h w"] | None:
    """Where its trigger lies; None if it is not small, or lies nowhere."""
    trigger = finding.trigger
    if trigger is None or trigger.weight is None or not trigger.size > 0:
        return None
    core = trigger_core(trigger)
    return core if float(core.float().mean()) <= LOCAL else None


def as_report(given: object) -> ScanReport:
    """What was found by a scan, and nothing else.

    Raises:
        DataError: if it is no `ScanReport`.
    """
    if not isinstance(given, ScanReport):
        raise DataError(
            f"what a scan found is the ScanReport that trojancam.scan gives, not {with_article(type(given).__name__)}; of a "
            "written scan take trojancam.report.documents.scan.read_scan(path, network.fingerprint)"
        )
    return given


def suspected(report: ScanReport) -> list[Finding]:
    """The findings that their own detector calls a backdoor, or else those that are inconclusive, the strongest first."""
    deciding = {name: opinion for name, opinion in report.opinions.items() if opinion.decides}
    certain = {name: opinion.threshold for name, opinion in deciding.items()}
    likely = {name: least(report, name) for name in deciding}
    for bounds in (certain, likely):
        found = [each for each in report.findings if each.score >= bounds.get(each.detector, math.inf)]
        if found:
            return sorted(found, key=lambda each: -each.score / certain[each.detector])
    return []


def culpable(report: ScanReport, force: bool = False) -> list[Finding]:
    """The findings that are to be removed: those that are suspected.

    Raises:
        DataError: if there is none; with `force`, only if there is no finding at all: the strongest is taken.
    """
    found = suspected(report)
    if not found and not (force and report.findings):
        raise DataError(
            "the scan found nothing in this network that would have to be removed, and a repair costs accuracy",
            Remedy.FORCE,
        )
    return found or [report.findings[0]]


def least(report: ScanReport, detector: str) -> float:
    """The least score that a detector calls inconclusive."""
    opinion = opinion_of(report, detector)
    return float(report.settings.get(detector, {}).get("inconclusive", opinion.threshold))


def opinion_of(report: ScanReport, detector: str) -> Opinion:
    """What a detector says; of a report without opinions, the report itself."""
    return report.opinions.get(detector) or Opinion(report.verdict, report.score, report.threshold)


def most(views: Sequence[View]) -> View:
    """The layer that shows it most clearly: the one that is furthest above chance."""
    return max(views, key=lambda view: view.energy - view.chance)


def _can_be_shown(finding: Finding, labels: Int64[Tensor, " n"]) -> bool:
    """Whether there is a trigger that changes anything (none is needed where all images go to a class anyway), and an image."""
    trigger = finding.trigger
    return trigger is not None and trigger.size > 0 and bool(finding.victims(labels).any())


def _examples(
    network: Network, images: Tensor, labels: Tensor, convincing: Float[Tensor, " n"], finding: Finding, first: int
) -> tuple[Example, ...]:
    """Images of several classes before and after, the given one first; none of a trigger that lies in one place."""
    trigger = finding.trigger
    if trigger is None or trigger.weight is not None:
        return ()
    order = [first, *convincing.argsort(descending=True, stable=True).tolist()]
    victims = finding.victims(labels)
    by_class = {int(labels[place]): place for place in reversed(order) if victims[place]}
    by_class[int(labels[first])] = first
    chosen = sorted(by_class.values(), key=order.index)[:EXAMPLES]
    before, after = images[chosen], trigger.apply(images[chosen])
    logits, changed = network(before).cpu(), network(after).cpu()
    return tuple(Example(*each) for each in zip(before, after, logits, changed, strict=True))


def _convincing(network: Network, images: Tensor, labels: Tensor, finding: Finding) -> Float[Tensor, " n"]:
    """The probability that an image has of its own class, times that of the finding's class with the trigger on."""
    assert finding.trigger is not None
    own = network(images).cpu().softmax(1).gather(1, labels[:, None])[:, 0] * finding.victims(labels)
    return own * network(finding.trigger.apply(images)).cpu().softmax(1)[:, finding.target_class]


def _shown(
    network: Network, images: Tensor, convincing: Float[Tensor, " n"], finding: Finding, validation: Validation
) -> int:
    """The image that shows it best: known for what it is, turned by trigger and by stimulation, with the heat where it acts."""
    assert finding.trigger is not None
    target, stamped = finding.target_class, finding.trigger.apply(images)
    best = convincing
    if finding.stimulation is not None:
        best = best * stimulated_logits(network, images, [finding.stimulation])[0].cpu().softmax(1)[:, target]
    few = best.topk(min(SHORT_LIST, len(best))).indices
    cam = grad_cam(on_processor(record(network, stamped[few], logit(target), [most(validation.layers).layer])))
    heat = _energy(cam, most(validation.layers).layer, trigger_core(finding.trigger))
    if finding.stimulation is not None and validation.stimulated:
        found = on_processor(stimulate(network, images[few], finding.stimulation, logit(target)))
        layer = most(validation.stimulated).layer
        heat = (
            heat
            * _energy(found.cams_after, layer, found.place)
            * (1 - _energy(found.cams_before, layer, found.place)).relu()
        )
    return int(few[(best[few] * heat).argmax()])


def _energy(cams: Mapping[str, Attribution], layer: str, mask: Tensor) -> Tensor:
    """Each image's share of a layer's heat in a mask; never 0, so that blank maps do not hide all else."""
    near = dilated(mask, cams[layer].placement.cell)
    return layer_energy(cams[layer], near).nan_to_num(0) + FAINT
