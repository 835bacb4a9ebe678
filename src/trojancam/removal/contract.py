"""Repair: the one contract of all ways to remove a backdoor: networks one after the other, the least invasive first."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from trojancam.detection.suspect import Suspect
from trojancam.errors import TrojanCamError
from trojancam.kept import Kept
from trojancam.network.network import Network
from trojancam.progress import Progress, silent
from trojancam.removal.goal import Culprit
from trojancam.showing import Brief


@dataclass(frozen=True)
class RepairJob(Brief):
    """What a repair works on: a network with clean images to learn from, what is to be removed, and the seed of all draws.

    Nothing in it tells of the true trigger. `budget` is the share of clean accuracy that may be lost.
    """

    suspect: Suspect
    culprits: tuple[Culprit, ...]
    budget: float = 0.01
    seed: int = 0
    journal: Kept = field(default_factory=Kept)
    progress: Progress = silent


@dataclass(frozen=True)
class Rung(Brief):
    """One try: its name, what it does in words, and the work. It is done only where all before it failed.

    The network that comes of it has the graph of `base`, or, without one, of the network that is repaired, and other parameters.
    `effort` is about how long the work takes where judging it takes 40; progress counts by it.
    """

    name: str
    words: str
    work: Callable[[Progress], Network]
    base: Network | None = None
    effort: int = 60


@dataclass(frozen=True)
class Repair(Brief):
    """A way to remove a backdoor: its title, for people, where it comes from, and the tries that it makes, in order.

    It may choose by clean images and by recovered triggers alone. A judge that is the same for all says when to stop. `edits`:
    the network that comes of it has another graph, which a file of weights cannot hold.
    """

    title: str
    source: str
    rungs: Callable[[RepairJob], Iterable[Rung]]
    note: str = ""
    edits: bool = False


def as_repair(name: str, given: Repair | Callable[[RepairJob], Network], title: str = "", source: str = "") -> Repair:
    """The repair that a package or a script registers: as it is, or made of a function of a `RepairJob` that returns a network.

    Raises:
        TrojanCamError: if it is neither.
    """
    if isinstance(given, Repair):
        return given
    problem = TrojanCamError(
        f"the repair {name!r} must be a Repair, or a function (job) that returns a network, not {given!r}"
    )
    try:
        parameters = inspect.signature(given).parameters
    except (TypeError, ValueError):
        raise problem from None
    if len(parameters) != 1:
        raise problem
    function: Any = given
    return single(title or name, source, lambda job, _: function(job))


def single(title: str, source: str, work: Callable[[RepairJob, Progress], Network], note: str = "") -> Repair:
    """A repair that makes one try."""
    return Repair(title, source, lambda job: [Rung("once", title, lambda progress: work(job, progress))], note)
