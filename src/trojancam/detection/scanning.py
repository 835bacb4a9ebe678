"""Scanning: a network and clean images through one detector or several, and what they say together."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from trojancam.attacks.families import FAMILIES
from trojancam.detection import abs as artificial_brain_stimulation
from trojancam.detection import free_eagle, mm_bd, neural_cleanse, one_to_one, some_classes
from trojancam.detection.accuracy import CleanAccuracy, clean_accuracy
from trojancam.detection.budget import Budget, BudgetSpentError, seconds_per_image, until
from trojancam.detection.coverage import VICTIMS, CannotSearchError, coverage
from trojancam.detection.detector import Detector, Job, as_detector
from trojancam.detection.effort import ASKED, COARSE, EFFORTS, Effort, effort_for
from trojancam.detection.findings import ScanReport
from trojancam.detection.judgement import RANKED, judged, opinion
from trojancam.detection.references import Reference, own_reference, read_reference
from trojancam.detection.settings import Settings, changed
from trojancam.detection.smallest_changes import detector as smallest
from trojancam.detection.smallest_changes import smallest_stripes
from trojancam.detection.stimulation_maps import detector as stimulated_windows
from trojancam.detection.suspect import Suspect, suspect
from trojancam.detection.track_record import TrackRecord, own_track_record
from trojancam.errors import DataError, TrojanCamError, UnknownNameError, unknown_name
from trojancam.kept import Kept
from trojancam.locks import only_run_in
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.opening.preprocessing import better_way
from trojancam.progress import Progress, shown, stages
from trojancam.registry import Registry
from trojancam.version import __version__

_OWN = {
    "stimulation": Detector(
        "Stimulation maps",
        "new in TrojanCAM",
        stimulated_windows.detect,
        stimulated_windows.StimulationSettings(),
        families=("patch", "moving-patch"),
        cost=stimulated_windows.cost,
        coarse=stimulated_windows.CoarseStimulationSettings(),
    ),
    **smallest.DETECTORS,
    **smallest_stripes.DETECTORS,
    "all-to-all": Detector(
        "One patch for all classes",
        "new in TrojanCAM",
        one_to_one.detect,
        one_to_one.OneToOneSettings(),
        families=("patch",),
        victims=("all-to-all",),
        cost=one_to_one.cost,
        coarse=one_to_one.CoarseOneToOneSettings(),
    ),
    "some-classes": Detector(
        "One patch for a few classes",
        "new in TrojanCAM",
        some_classes.detect,
        some_classes.SomeClassesSettings(),
        families=("patch",),
        victims=("some-classes",),
        cost=some_classes.cost,
    ),
    "abs": Detector(
        "Artificial Brain Stimulation",
        "Liu et al., CCS 2019",
        artificial_brain_stimulation.detect,
        artificial_brain_stimulation.ABSSettings(),
        families=("patch",),
        second_opinion=True,
        cost=artificial_brain_stimulation.cost,
    ),
    "neural-cleanse": Detector(
        "Neural Cleanse",
        "Wang et al., S&P 2019",
        neural_cleanse.detect,
        neural_cleanse.NeuralCleanseSettings(),
        families=("patch",),
        second_opinion=True,
        cost=neural_cleanse.cost,
    ),
    "mm-bd": Detector(
        "Maximum margins (MM-BD)",
        "Wang et al., S&P 2024",
        mm_bd.detect,
        mm_bd.MaximumMarginSettings(),
        families=("patch", "moving-patch"),
        second_opinion=True,
        cost=mm_bd.cost,
    ),
    "freeeagle": Detector(
        "Matrix of class to class (FreeEagle)",
        "Fu et al., USENIX Security 2023",
        free_eagle.detect,
        free_eagle.FreeEagleSettings(),
        families=("patch", "blend", "tone"),
        victims=("every-class", "some-classes"),
        second_opinion=True,
        cost=free_eagle.cost,
    ),
}
DETECTORS = Registry("scan method", "trojancam.detectors", as_detector, _OWN)
"""All detectors by name. `DETECTORS.register("mine")` adds a function of a `Job` and settings that returns a `ScanReport`; so
does an entry point of the group `trojancam.detectors`."""
DEFAULT_METHODS = ("stimulation", "additive", "stripes", "warp", "all-to-all")
"""The searches of a scan unless others are named; they decide together."""
ACCURATE = 0.95  # a network that is right as often need not be fed otherwise
EFFORT = "effort"  # the setting of every method that says which of its settings it starts from
SHARE = 1000  # of the progress of a scan is each method's


def scan(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels | None = None,
    methods: given.GivenNames | None = None,
    *,
    families: given.GivenNames = (),
    victims: given.GivenNames = (),
    budget: float | str | Budget | None = None,
    reference: Reference | Path | str | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> ScanReport:
    """Whether a network answers to something it should not: verdict, class, place, feature maps and recovered trigger.

    It takes clean images, a hundred or so, as `record` takes them, and their classes by number or name; the order of the images
    does not matter. Without labels, the network's own predictions stand in, and its accuracy is not known. `methods` are those
    of `DEFAULT_METHODS` unless named; `families` and `victims` leave only those that look for such triggers, and `budget`
    (seconds, "10m", or a share such as "50%") those that fit in; what has not ended when a time is spent is left out, too, and
    the report says so. All of them decide together; second opinions are told beside.

    Scores are held against those of clean networks, in a file of `trojancam calibrate` (`reference`) or those that came with this
    package. `settings` are a method's, by its name and theirs: `{"stimulation": {"rounds": 80}}`. With `journal`, a folder, every
    finished step is kept there: the same scan, killed and begun again, goes on to the same report. Where nobody vouches for
    how the network is fed (see `Network.feeding`), the report remarks it.

    Raises:
        UnknownNameError: if there is no such method, family, victims or setting, or a label is no class of the network.
        DataError: if there are too few images, or some that the network cannot take, not as many labels, no method, or a
            setting cannot have its value; if the reference cannot be read, or no method can search with these images.
        TrojanCamError: if another run keeps its steps in that folder.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 8))
    >>> report = scan(network, torch.rand(8, 3, 8, 8), torch.arange(8) % 3, "stimulation")
    >>> report.findings[0].detector, report.coverage.searched[0].families
    ('stimulation', ('patch', 'moving-patch'))
    """
    given.check_network(network)
    names = known_methods(methods, families, victims)
    chosen = known_settings(names, settings or {}, network.input.size)
    known = _reference(reference)
    allowed = Budget() if budget is None else Budget.of(budget)
    end = allowed.ends(time.monotonic())
    seen = suspect(network, images, labels)
    accuracy = None if labels is None else clean_accuracy(seen)
    left_out = {} if budget is None else _left_out(allowed, _costs(seen, chosen), seconds_per_image(seen))
    reports, impossible = _reports(
        seen, [name for name in names if name not in left_out], chosen, seed, journal, progress, end
    )
    found = _together(reports, left_out | impossible, chosen, known, accuracy, seen)
    doubts = [network.feeding.doubt, "" if accuracy is None else _better_feeding(seen, accuracy), *found.remarks]
    return replace(found, remarks=tuple(each for each in doubts if each))


def expected_seconds(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels | None = None,
    methods: given.GivenNames | None = None,
    *,
    families: given.GivenNames = (),
    victims: given.GivenNames = (),
    budget: float | str | Budget | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> float:
    """About how many seconds a scan would take here: the images that its searches run through the network, at its speed now.

    On the processor it is right within a factor of two or so. A method that does not know its cost counts as nothing.

    Raises:
        UnknownNameError, DataError: as `scan` does.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 8))
    >>> images = torch.rand(8, 3, 8, 8)
    >>> expected_seconds(network, images) > expected_seconds(network, images, methods="warp") > 0
    True
    """
    given.check_network(network)
    chosen = known_settings(known_methods(methods, families, victims), settings or {}, network.input.size)
    seen = suspect(network, images, labels)
    allowed = Budget() if budget is None else Budget.of(budget)
    costs, each = _costs(seen, chosen), seconds_per_image(seen)
    left_out = {} if budget is None else _left_out(allowed, costs, each)
    searched = sum(cost or 0 for name, cost in costs.items() if name not in left_out)
    return min(each * searched, allowed.ends(0.0))


def _left_out(allowed: Budget, costs: Mapping[str, int | None], each: float) -> dict[str, str]:
    """Which methods do not fit into a budget, and why, where an image takes `each` seconds."""
    return allowed.left_out(costs, each, [name for name in costs if not DETECTORS[name].second_opinion])


def _reports(
    seen: Suspect,
    names: Sequence[str],
    settings: Mapping[str, Settings | None],
    seed: int,
    journal: Path | None,
    progress: Progress | None,
    end: float,
) -> tuple[dict[str, ScanReport], dict[str, str]]:
    """What each method says, and why some of them cannot search, or not to their end.

    Raises:
        CannotSearchError: if none can.
    """
    run = f"{__version__} {seen.fingerprint()} {seed}"
    reports: dict[str, ScanReport] = {}
    problems: dict[str, CannotSearchError] = {}
    with only_run_in(journal) if journal else nullcontext():
        for name, told in zip(names, stages(shown(progress), [SHARE] * len(names)), strict=True):
            kept = Kept(journal, f"{run} {settings[name]!r} {DETECTORS.code(name)}")
            try:
                if time.monotonic() > end:
                    raise BudgetSpentError
                reports[name] = _report(name, Job(seen, seed, kept, until(end, told)), settings[name])
            except CannotSearchError as problem:
                problems[name] = problem
            told(SHARE, SHARE)
    decides = [name for name in problems if not DETECTORS[name].second_opinion]
    if not reports or (decides and all(DETECTORS[name].second_opinion for name in reports)):
        raise problems[(decides or list(problems))[0]]  # what others say beside does not take its place
    return reports, {name: str(problem) for name, problem in problems.items()}


def _better_feeding(seen: Suspect, accuracy: CleanAccuracy) -> str:
    """What is to be said where the network is clearly more accurate fed in another usual way."""
    if accuracy.value >= ACCURATE:
        return ""
    better = better_way(seen.network, seen.images, seen.labels)
    if better is None:
        return ""
    return (
        f"The network is right on {accuracy.value:.0%} of the images as it is fed, and on {better.accuracy:.0%} if it is fed "
        f"{better.name}: scan it with that preprocessing."
    )


def _costs(seen: Suspect, settings: Mapping[str, Settings | None]) -> dict[str, int | None]:
    """About how many images each method runs through the network."""
    costs = {name: DETECTORS[name].cost for name in settings}
    return {name: None if cost is None else cost(seen, settings[name]) for name, cost in costs.items()}


def _reference(said: Reference | Path | str | None) -> Reference:
    if isinstance(said, Reference):
        return said
    return own_reference() if said is None else read_reference(Path(said))


def known_settings(
    methods: Iterable[str],
    settings: Mapping[str, Mapping[str, object]],
    image_size: tuple[int, int] | None = None,
) -> dict[str, Settings | None]:
    """What each of these methods is set to for images of a size, given what is changed of its settings.

    The setting `effort` of every method says whether it searches as on small images, "thorough", or as on large ones, "coarse".
    Where no size is known yet, what either kind of search can be told is accepted.

    Raises:
        UnknownNameError: if something is set of a method that is not among these, or there is no such setting.
        DataError: if a setting cannot have its value.
    """
    names = tuple(methods)
    for name in settings:
        if name not in names:
            raise unknown_name("method of this scan", name, names)
    found = {}
    for name in names:
        values = dict(settings.get(name, {}))
        efforts = _efforts(name, values.pop(EFFORT, None), image_size)
        try:
            found[name] = _settings(name, values, efforts[0])
        except (DataError, UnknownNameError):
            if len(efforts) == 1:
                raise
            found[name] = _settings(name, values, efforts[1])
    return found


def _efforts(name: str, told: object, image_size: tuple[int, int] | None) -> tuple[Effort, ...]:
    """How thoroughly a method is to search: as it was told, or as the images are large; all ways where that is not known."""
    if told is None:
        return EFFORTS if image_size is None else (effort_for(image_size),)
    found = tuple(each for each in EFFORTS if each == told)
    if not found:
        raise DataError(f"the setting {name}.{EFFORT} cannot be {told!r}: it is {' or '.join(EFFORTS)}")
    return found


def _settings(name: str, values: Mapping[str, object], effort: Effort) -> Settings | None:
    usual = DETECTORS[name].settings_for(effort)
    if usual is None and values:
        raise unknown_name(f"setting of {name}", next(iter(values)), ())
    return None if usual is None else changed(usual, values, name)


def _report(name: str, job: Job, settings: Settings | None) -> ScanReport:
    """What a detector says, with its name on all of its findings."""
    report = DETECTORS[name].detect(job, settings)
    if not isinstance(report, ScanReport):
        raise TrojanCamError(f"the scan method {name!r} must return a ScanReport, but returned {type(report).__name__}")
    return replace(report, findings=tuple(replace(finding, detector=name) for finding in report.findings))


def known_methods(
    names: given.GivenNames | None, families: given.GivenNames = (), victims: given.GivenNames = ()
) -> tuple[str, ...]:
    """The names of scan methods, each once, in the order given; those that look for these families and victims.

    Without names they are the usual ones, or, where families or victims are asked for, all that decide by themselves. What
    looks for triggers of a few classes alone is to be asked for by its victims: beside it, no reference network tells a p-value.

    Raises:
        UnknownNameError: if there is no such method, family or kind of victims.
        DataError: if there is no name, or none of the methods looks for that.
    """
    wanted = [given.names(*each) for each in (("family", families, FAMILIES), ("kind of victims", victims, VICTIMS))]
    if names is None and any(wanted):
        methods = tuple(
            name
            for name, each in DETECTORS.items()
            if not each.second_opinion and (wanted[1] or each.victims != ("some-classes",))
        )
    else:
        methods = given.names("scan method", DEFAULT_METHODS if names is None else names, DETECTORS)
    if not methods:
        raise DataError(f"a scan needs at least one method; known: {', '.join(DETECTORS)}")
    found = tuple(name for name in methods if _looks_for(DETECTORS[name], *wanted))
    if not found:
        asked = " and ".join(", ".join(each) for each in wanted if each)
        raise DataError(f"none of the methods {', '.join(methods)} looks for {asked}; see 'trojancam methods'")
    return found


def _looks_for(detector: Detector, families: Sequence[str], victims: Sequence[str]) -> bool:
    return all(
        not wanted or not set(wanted).isdisjoint(done)
        for wanted, done in ((families, detector.families), (victims, detector.victims))
    )


def _together(
    reports: Mapping[str, ScanReport],
    left_out: Mapping[str, str],
    settings: Mapping[str, Settings | None],
    reference: Reference,
    accuracy: CleanAccuracy | None,
    seen: Suspect,
) -> ScanReport:
    """One report of several: those that are no second opinions decide, or, if all are, the first."""
    deciding = [name for name in reports if not DETECTORS[name].second_opinion] or list(reports)[:1]
    nulls = {name: reference.null(name, settings[name], seen.classes, seen.network.fingerprint) for name in reports}
    opinions = {
        name: opinion(report.verdict, report.score, report.threshold, nulls[name], name in deciding)
        for name, report in reports.items()
    }
    verdict, judgement = judged(opinions, nulls, accuracy)
    strongest = sorted(deciding, key=lambda name: (RANKED.index(opinions[name].verdict), -opinions[name].strength))
    order = [*strongest, *(name for name in reports if name not in deciding)]
    first = reports[order[0]]
    # What a second opinion looks for is not covered: it does not count in the verdict.
    searched = [DETECTORS[name].searches(name, reports[name].searched) for name in reports if name in deciding]
    every = [each.searches(name) for name, each in DETECTORS.items() if name in deciding or not each.second_opinion]
    return replace(
        first,
        verdict=verdict,
        findings=tuple(finding for name in order for finding in reports[name].findings),
        settings={name: report.settings for name, report in reports.items()},
        timing={step: seconds for report in reports.values() for step, seconds in report.timing.items()},
        opinions={name: opinions[name] for name in order},
        judgement=judgement,
        coverage=coverage(searched, left_out, every, _track_record(settings, left_out)),
        remarks=(
            *_coarse([settings[name] for name in reports], seen),
            *(each for one in reports.values() for each in one.remarks),
        ),
        searched="",
    )


def _coarse(settings: Iterable[Settings | None], seen: Suspect) -> Iterator[str]:
    """What is to be said where any method searched coarsely."""
    if any(each is not None and each.coarse for each in settings):
        yield COARSE if effort_for(seen.network.input.size) == "coarse" else ASKED


def _track_record(settings: Mapping[str, Settings | None], left_out: Mapping[str, str]) -> TrackRecord | None:
    """How often such scans were right; None if the methods are others than the usual ones, or were set otherwise."""
    deciding = {name: each for name, each in settings.items() if not DETECTORS[name].second_opinion}
    known = own_track_record()
    usual = set(deciding) == set(known.methods) and not left_out
    return known if usual and all(each == DETECTORS[name].settings for name, each in deciding.items()) else None
