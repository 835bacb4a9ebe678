"""Detector: the one contract of all ways to look for a backdoor, and the registry of those there are."""

from collections.abc import Callable
from dataclasses import dataclass, field

from trojancam.detection.findings import ScanReport
from trojancam.detection.journal import Journal
from trojancam.detection.suspect import Suspect
from trojancam.progress import Progress, silent


@dataclass(frozen=True)
class Job:
    """What a detector works on: the suspect, the seed of all random draws, where steps are kept, whom to tell."""

    suspect: Suspect
    seed: int = 0
    journal: Journal = field(default_factory=Journal)
    progress: Progress = silent


@dataclass(frozen=True)
class Detector:
    """A way to look for a backdoor: its title, for people, where it comes from, and what it makes of a job."""

    title: str
    source: str
    detect: Callable[[Job], ScanReport]
