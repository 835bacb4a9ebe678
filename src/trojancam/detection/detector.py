"""Detector: the one contract of all ways to look for a backdoor, and the registry of those there are."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from trojancam.detection.findings import Finding, ScanReport, verdict_of
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the settings of every detector hold: the least scores that are a backdoor, and inconclusive."""

    backdoor: float
    inconclusive: float


def concluded(job: Job, detector: str, findings: Sequence[Finding], settings: Settings) -> ScanReport:
    """The report of a detector: findings strongest first, the strongest one's score (0 without any), and the verdict."""
    ranked = tuple(sorted(findings, key=lambda finding: finding.score, reverse=True))
    score = ranked[0].score if ranked else 0.0
    return ScanReport(
        verdict=verdict_of(score, settings.inconclusive, settings.backdoor),
        score=score,
        threshold=settings.backdoor,
        findings=ranked,
        settings=asdict(settings) | {"seed": job.seed},
        timing={step: seconds for step, seconds in job.journal.timing.items() if step.startswith(f"{detector}/")},
        class_names=job.suspect.network.class_names,
    )
