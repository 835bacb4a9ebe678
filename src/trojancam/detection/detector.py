"""Detector: the one contract of all ways to look for a backdoor."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from trojancam.detection.coverage import Searched, Victims
from trojancam.detection.effort import Effort
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import verdict_of
from trojancam.detection.settings import Settings
from trojancam.detection.suspect import Suspect
from trojancam.errors import TrojanCamError
from trojancam.kept import Kept
from trojancam.progress import Progress, silent
from trojancam.showing import Brief


@dataclass(frozen=True)
class Job:
    """What a detector works on: the suspect, the seed of all random draws, where steps are kept, whom to tell."""

    suspect: Suspect
    seed: int = 0
    journal: Kept = field(default_factory=Kept)
    progress: Progress = silent


@dataclass(frozen=True)
class Detector(Brief):
    """A way to look for a backdoor: its title, for people, where it comes from, and what it makes of a job and settings.

    `settings` are those that it has unless told otherwise; None where there is nothing to set. On large images it has those of
    `coarse`, where there are any. It looks for changes of these `families` with these `victims`. A `second_opinion` is told
    beside the verdict of others, and decides only alone. `cost` is about how many images it runs through the network; None if
    nobody can tell.
    """

    title: str
    source: str
    detect: Callable[[Job, Any], ScanReport]
    settings: Settings | None = None
    families: tuple[str, ...] = ()
    victims: tuple[Victims, ...] = ("every-class",)
    second_opinion: bool = False
    cost: Callable[[Suspect, Any], int] | None = None
    coarse: Settings | None = None

    def settings_for(self, effort: Effort) -> Settings | None:
        """The settings that it has for a thorough or a coarse search; the only ones, where it has but one kind."""
        return self.coarse if effort == "coarse" and self.coarse is not None else self.settings

    def searches(self, name: str, where: str = "") -> Searched:
        """What it looks for, for a report."""
        return Searched(name, self.families, self.victims, where)


def as_detector(name: str, given: Detector | Callable[..., ScanReport], title: str = "", source: str = "") -> Detector:
    """The detector that a package or a script registers: as it is, or made of a function.

    The function takes a `Job`, and settings if it has any: their default, an object of a class derived from `Settings`,
    says what they are.

    Raises:
        TrojanCamError: if it is neither.
    """
    if isinstance(given, Detector):
        return given
    problem = TrojanCamError(
        f"the detector {name!r} must be a Detector, a function (job), or a function (job, settings=...) whose default is "
        f"a Settings of its own, but is {given!r}"
    )
    try:
        parameters = list(inspect.signature(given).parameters.values())
    except (TypeError, ValueError):
        raise problem from None
    if len(parameters) == 1:
        return Detector(title or name, source, lambda job, _: given(job))
    if len(parameters) == 2 and isinstance(parameters[1].default, Settings):
        return Detector(title or name, source, given, parameters[1].default)
    raise problem


def concluded(
    job: Job, detector: str, findings: Sequence[Finding], settings: Settings, searched: str = ""
) -> ScanReport:
    """The report of a detector: findings strongest first, the strongest one's score (0 without any), and the verdict.

    `searched` says in words where it looked.
    """
    ranked = tuple(sorted(findings, key=lambda finding: finding.score, reverse=True))
    score = ranked[0].score if ranked else 0.0
    return ScanReport(
        verdict=verdict_of(score, settings.inconclusive, settings.backdoor),
        score=score,
        threshold=settings.backdoor,
        findings=ranked,
        settings=asdict(settings) | {"seed": job.seed} | ({"effort": "coarse"} if settings.coarse else {}),
        timing={step: seconds for step, seconds in job.journal.timing.items() if step.startswith(f"{detector}/")},
        class_names=job.suspect.network.class_names,
        searched=f"coarsely: {searched}" if settings.coarse else searched,
    )
