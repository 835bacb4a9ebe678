"""Scanning: a network and clean images through one detector or several, and what they say together."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from trojancam.detection import abs as artificial_brain_stimulation
from trojancam.detection import neural_cleanse, one_to_one
from trojancam.detection.detector import Detector, Job, as_detector
from trojancam.detection.findings import Opinion, ScanReport
from trojancam.detection.settings import Settings, changed
from trojancam.detection.smallest_changes import detector as smallest
from trojancam.detection.stimulation_maps import detector as stimulated_windows
from trojancam.detection.suspect import suspect
from trojancam.errors import DataError, TrojanCamError, unknown_name
from trojancam.kept import Kept
from trojancam.locks import only_run_in
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, shown, stages
from trojancam.registry import Registry
from trojancam.version import __version__

_OWN = {
    "stimulation": Detector(
        "Stimulation maps", "new in TrojanCAM", stimulated_windows.detect, stimulated_windows.StimulationSettings()
    ),
    **smallest.DETECTORS,
    "all-to-all": Detector(
        "One patch for all classes", "new in TrojanCAM", one_to_one.detect, one_to_one.OneToOneSettings()
    ),
    "abs": Detector(
        "Artificial Brain Stimulation",
        "Liu et al., CCS 2019",
        artificial_brain_stimulation.detect,
        artificial_brain_stimulation.ABSSettings(),
    ),
    "neural-cleanse": Detector(
        "Neural Cleanse", "Wang et al., S&P 2019", neural_cleanse.detect, neural_cleanse.NeuralCleanseSettings()
    ),
}
DETECTORS = Registry("scan method", "trojancam.detectors", as_detector, _OWN)
"""All detectors by name. `DETECTORS.register("mine")` adds a function of a `Job` and settings that returns a `ScanReport`; so
does an entry point of the group `trojancam.detectors`."""
DEFAULT_METHODS = ("stimulation",)
SHARE = 1000  # of the progress of a scan is each method's


def scan(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels | None = None,
    methods: given.GivenNames = DEFAULT_METHODS,
    *,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> ScanReport:
    """Whether a network answers to something it should not: verdict, class, place, feature maps and recovered trigger.

    It takes clean images, a few dozen or more, as `record` takes them, and their classes by number or name; without labels,
    the network's own predictions stand in. The first method decides, the others are second opinions whose findings follow.
    `settings` are a method's, by its name and theirs: `{"stimulation": {"rounds": 80}}`. With `journal`, a folder, every
    finished step is kept there: the same scan, killed and begun again, goes on to the same report. Where nobody vouches for
    how the network is fed (see `Network.feeding`), the report remarks it.

    Raises:
        UnknownNameError: if there is no such method or setting, or a label is no class of the network.
        DataError: if there are too few images, or some that the network cannot take, not as many labels, no method, or a
            setting cannot have its value.
        TrojanCamError: if another run keeps its steps in that folder.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 8))
    >>> scan(network, torch.rand(8, 3, 8, 8), torch.arange(8) % 3).findings[0].detector
    'stimulation'
    """
    names = known_methods(methods)
    chosen = known_settings(names, settings or {})
    seen = suspect(network, images, labels)
    run = f"{__version__} {seen.fingerprint()} {seed}"
    reports = {}
    with only_run_in(journal) if journal else nullcontext():
        for name, told in zip(names, stages(shown(progress), [SHARE] * len(names)), strict=True):
            kept = Kept(journal, f"{run} {chosen[name]!r} {DETECTORS.code(name)}")
            reports[name] = _report(name, Job(seen, seed, kept, told), chosen[name])
    report = _together(reports)
    doubt = network.feeding.doubt
    return replace(report, remarks=(*report.remarks, doubt)) if doubt else report


def known_settings(methods: Iterable[str], settings: Mapping[str, Mapping[str, object]]) -> dict[str, Settings | None]:
    """What each of these methods is set to, given what is changed of its settings.

    Raises:
        UnknownNameError: if something is set of a method that is not among these, or there is no such setting.
        DataError: if a setting cannot have its value.
    """
    names = tuple(methods)
    for name in settings:
        if name not in names:
            raise unknown_name("method of this scan", name, names)
    return {name: _settings(name, settings.get(name, {})) for name in names}


def _settings(name: str, values: Mapping[str, object]) -> Settings | None:
    usual = DETECTORS[name].settings
    if usual is None and values:
        raise unknown_name(f"setting of {name}", next(iter(values)), ())
    return None if usual is None else changed(usual, values, name)


def _report(name: str, job: Job, settings: Settings | None) -> ScanReport:
    """What a detector says, with its name on all of its findings."""
    report = DETECTORS[name].detect(job, settings)
    if not isinstance(report, ScanReport):
        raise TrojanCamError(f"the scan method {name!r} must return a ScanReport, but returned {type(report).__name__}")
    return replace(report, findings=tuple(replace(finding, detector=name) for finding in report.findings))


def known_methods(names: given.GivenNames) -> tuple[str, ...]:
    """The names of scan methods, each once, in the order given.

    Raises:
        UnknownNameError: if there is no such method.
        DataError: if there is no name.
    """
    methods = given.names("scan method", names, DETECTORS)
    if not methods:
        raise DataError(f"a scan needs at least one method; known: {', '.join(DETECTORS)}")
    return methods


def _together(reports: dict[str, ScanReport]) -> ScanReport:
    """One report of several: the first decides."""
    first = next(iter(reports.values()))
    return replace(
        first,
        findings=tuple(finding for report in reports.values() for finding in report.findings),
        settings={name: report.settings for name, report in reports.items()},
        timing={step: seconds for report in reports.values() for step, seconds in report.timing.items()},
        opinions={name: Opinion(report.verdict, report.score, report.threshold) for name, report in reports.items()},
    )
