"""Scanning: a network and clean images through one detector or several, and what they say together."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection import abs as artificial_brain_stimulation
from trojancam.detection import neural_cleanse
from trojancam.detection.detector import Detector, Job
from trojancam.detection.findings import Opinion, ScanReport
from trojancam.detection.journal import Journal
from trojancam.detection.stimulation_maps import detector as stimulated_windows
from trojancam.detection.suspect import suspect
from trojancam.errors import DataError, unknown_name
from trojancam.network.network import Network
from trojancam.progress import Progress, silent, stages
from trojancam.version import __version__

DETECTORS = {
    "stimulation": Detector("Stimulation maps", "new in TrojanCAM", stimulated_windows.detect),
    "abs": Detector("Artificial Brain Stimulation", "Liu et al., CCS 2019", artificial_brain_stimulation.detect),
    "neural-cleanse": Detector("Neural Cleanse", "Wang et al., S&P 2019", neural_cleanse.detect),
}
DEFAULT_METHODS = ("stimulation",)
SHARE = 1000  # of the progress of a scan is each method's


def scan(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    labels: Int64[Tensor, " n"] | None = None,
    methods: Iterable[str] = DEFAULT_METHODS,
    *,
    seed: int = 0,
    journal: Path | None = None,
    progress: Progress = silent,
) -> ScanReport:
    """Whether a network answers to something it should not: verdict, class, place, feature maps and recovered trigger.

    It takes clean images in [0, 1], a few dozen or more; without labels, the network's own predictions stand in. The first
    method decides, the others are second opinions whose findings follow. With `journal`, a folder, every finished step is
    kept there: the same scan, killed and begun again, goes on to the same report.

    Raises:
        UnknownNameError: if there is no such method, or a label is no class of the network.
        DataError: if there are too few images, not as many labels, or no method.
        ModelError: if the images are of another size or range than the network takes.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 8))
    >>> scan(network, torch.rand(8, 3, 8, 8), torch.arange(8) % 3).findings[0].detector
    'stimulation'
    """
    names = known_methods([methods] if isinstance(methods, str) else methods)
    seen = suspect(network, images, labels)
    kept = Journal(journal, f"{__version__} {seen.fingerprint()} {seed}")
    told = stages(progress, [SHARE] * len(names))
    reports = {
        name: DETECTORS[name].detect(Job(seen, seed, kept, part)) for name, part in zip(names, told, strict=True)
    }
    return _together(reports)


def known_methods(names: Iterable[str]) -> tuple[str, ...]:
    """The names of scan methods, each once, in the order given.

    Raises:
        UnknownNameError: if there is no such method.
        DataError: if there is no name.
    """
    methods = tuple(dict.fromkeys(names))
    if not methods:
        raise DataError(f"a scan needs at least one method; known: {', '.join(DETECTORS)}")
    for name in methods:
        if name not in DETECTORS:
            raise unknown_name("scan method", name, DETECTORS)
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
