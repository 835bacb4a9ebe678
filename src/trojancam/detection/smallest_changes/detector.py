"""The detectors of smallest changes: one for each family whose members are small in the sense of one number.

A backdoor whose trigger spreads over the whole image has no place that a mask or a stimulated window could find. But it is a
shortcut: a change of its family that leads to its class is much smaller than one that leads to any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.additive import AdditiveCellsFamily, AdditiveFamily
from trojancam.attacks.family import ImageFamily
from trojancam.attacks.frequency import FrequencyFamily
from trojancam.attacks.tone import ToneFamily
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.warp import WarpFamily
from trojancam.detection.detector import Detector, Job, concluded
from trojancam.detection.effort import USUAL, cells_of
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.outliers import leads_of, share_counted
from trojancam.detection.settings import Count, Settings
from trojancam.detection.smallest_changes.search import (
    CoarseSearchSettings,
    Phase,
    SearchSettings,
    Smallest,
    cost,
    smallest_changes,
)
from trojancam.detection.success import reasr
from trojancam.detection.suspect import Suspect, halves
from trojancam.kept import Values
from trojancam.progress import counting

Scores = Callable[[Smallest, int], Float[Tensor, " c"]]  # of what was found, and of how many classes there are
Family = Callable[[tuple[int, int]], ImageFamily[Trigger]]  # for images of a size
LOW = 20  # coefficients of the cosine transform along each side: up to ten waves
PREFIX = "change."  # of a family's numbers in a step of the journal


@dataclass(frozen=True, kw_only=True)
class SmallestChangeSettings(Settings):
    """How a detector of smallest changes looks and judges; only the number of `findings` is told of."""

    search: SearchSettings = field(default_factory=SearchSettings)
    findings: Count = 3


@dataclass(frozen=True, kw_only=True)
class CoarseChangeSettings(SmallestChangeSettings):
    """How a detector of smallest changes looks where runs are dear."""

    coarse: ClassVar[bool] = True

    search: CoarseSearchSettings = field(default_factory=CoarseSearchSettings)


def gaps(found: Smallest) -> Float[Tensor, " c"]:
    """How much smaller than the next the changes to the nearest class, or to the nearest two, are: natural logarithms.

    With sizes n1 <= n2 <= n3 the nearest class has `max(ln n2/n1, ln n3/n2)`, the second `ln n3/n2` (a backdoor may have two
    targets), all others 0. A change that succeeds with none of the images says nothing.

    >>> gaps(Smallest(torch.arange(3), torch.tensor([1.0, 2.0, 2.5]), torch.ones(3), {}))
    tensor([0.6931, 0.2231, 0.0000])
    """
    scores = leads_of(found.sizes[1:] / found.sizes[:-1], len(found.sizes))
    return torch.where(found.successes > 0, scores, 0.0)


def successes(found: Smallest, classes: int) -> Float[Tensor, " c"]:
    """The share of held-out images that the change sends to its class, at the greatest size allowed; see `share_counted`."""
    return found.successes * share_counted(1.0, classes)


def detecting(
    name: str, family: Family, scores: Scores, coarse_family: Family | None = None
) -> Callable[[Job, SmallestChangeSettings], ScanReport]:
    """The function of a detector: the smallest changes of a family to each class, and what `scores` makes of them.

    A coarse search may be for members of another family, with fewer numbers. One half of the images serves to search, the
    other half to measure.

    Raises:
        CannotSearchError: if no image of a half could be sent to another class.
    """

    def detect(job: Job, settings: SmallestChangeSettings) -> ScanReport:
        ours, held_out = halves(job.suspect)
        members = (coarse_family if coarse_family and settings.coarse else family)(ours.network.input.size)
        advance = counting(job.progress, cost(ours, settings.search), f"smallest {members.name} changes")
        found = once(job, name, lambda: smallest_changes(ours, held_out, members, settings.search, job.seed, advance))
        largest = settings.search.largest_in(members.image_size)
        bound = " of any size" if largest is None else f" up to {largest:g} {members.unit}"
        findings = found_among(name, members, found, scores(found, ours.classes), held_out, settings.findings)
        return concluded(job, name, findings, settings, f"changes{bound} to {near(found, ours)}")

    return detect


def near(found: Smallest, suspect: Suspect) -> str:
    """Which classes were searched, in words."""
    return f"the {len(found.targets)} classes that are nearest, of {suspect.classes}"


def found_among(
    name: str,
    family: ImageFamily[Trigger],
    found: Smallest,
    scores: Float[Tensor, " c"],
    held_out: Suspect,
    count: int,
) -> list[Finding]:
    """The findings of the greatest scores."""
    order = scores.argsort(descending=True, stable=True)[:count].tolist()
    return [_finding(name, family, found, place, scores, held_out) for place in order]


def once(job: Job, name: str, search: Callable[[], Smallest]) -> Smallest:
    """The smallest changes, searched now or from the journal."""

    def work() -> Values:
        found = search()
        kept = {PREFIX + key: values for key, values in found.parameters.items()}
        return {"targets": found.targets, "sizes": found.sizes, "successes": found.successes} | kept

    values = job.journal.step(f"{name}/smallest changes", work)
    parameters = {key.removeprefix(PREFIX): each for key, each in values.items() if key.startswith(PREFIX)}
    return Smallest(values["targets"], values["sizes"], values["successes"], parameters)


def _finding(
    name: str,
    family: ImageFamily[Trigger],
    found: Smallest,
    place: int,
    scores: Float[Tensor, " c"],
    held_out: Suspect,
) -> Finding:
    target = int(found.targets[place])
    trigger = family.member(found.parameters, place, f"recovered, class {target}")
    return Finding(
        detector=name,
        target_class=target,
        score=float(scores[place]),
        reasr=reasr(held_out.network, trigger, held_out.images, held_out.labels, target),
        trigger=trigger,
        evidence={
            "size": float(found.sizes[place]),
            "next_size": float(found.sizes[place + 1 : place + 2].sum()),
            "median_size": float(found.sizes.median()),
            "greatest_success": float(found.successes[place]),
        },
    )


def low_frequencies(image_size: tuple[int, int]) -> FrequencyFamily:
    """Smooth changes of the whole image: of the lowest frequencies, up to ten waves across it."""
    height, width = image_size
    return FrequencyFamily(image_size, (min(LOW, height), min(LOW, width)))


def cells(image_size: tuple[int, int]) -> AdditiveCellsFamily:
    """Additive changes with as many numbers as in a small image, however large this one is."""
    return AdditiveCellsFamily(image_size, cells_of(image_size, USUAL))


def _detector(
    name: str,
    title: str,
    family: Family,
    scores: Scores,
    settings: SmallestChangeSettings,
    families: tuple[str, ...],
    coarse: CoarseChangeSettings,
    coarse_family: Family | None = None,
) -> Detector:
    detect = detecting(name, family, scores, coarse_family)
    return Detector(title, "new in TrojanCAM", detect, settings, families, cost=_cost, coarse=coarse)


def _cost(suspect: Suspect, settings: SmallestChangeSettings) -> int:
    return cost(halves(suspect)[0], settings.search)


_BENT = SearchSettings(Phase(30, 8, 0.9, 0.05), Phase(40, 24, 0.95, 0.03), keep=10, largest=1.2)
_TONED = SearchSettings(detail=Phase(40, 24, 0.95, 0.04), largest=0.25)
_COARSELY_BENT = CoarseSearchSettings(Phase(8, 4, 0.9, 0.1), Phase(12, 8, 0.95, 0.06), keep=3, largest=1.2)
_COARSELY_TONED = CoarseSearchSettings(largest=0.25, grows=False)
WHOLE = ("additive", "blend", "stripes", "frequency")
SMOOTH = ("additive", "blend", "stripes")
DETECTORS = {
    "additive": _detector(
        "additive",
        "Smallest additive change",
        AdditiveFamily,
        lambda found, _: gaps(found),
        SmallestChangeSettings(backdoor=0.3, inconclusive=0.22),
        WHOLE,
        CoarseChangeSettings(backdoor=0.3, inconclusive=0.22),
        cells,
    ),
    "low-frequency": _detector(
        "low-frequency",
        "Smallest low-frequency change",
        low_frequencies,
        lambda found, _: gaps(found),
        SmallestChangeSettings(backdoor=0.4, inconclusive=0.3),
        SMOOTH,
        CoarseChangeSettings(search=CoarseSearchSettings(grows=False), backdoor=0.4, inconclusive=0.3),
    ),
    "warp": _detector(
        "warp",
        "Smallest warp",
        WarpFamily,
        successes,
        SmallestChangeSettings(search=_BENT, backdoor=0.5, inconclusive=0.4),
        ("warp",),
        CoarseChangeSettings(search=_COARSELY_BENT, backdoor=0.5, inconclusive=0.4),
    ),
    "tone": _detector(
        "tone",
        "Smallest tone",
        ToneFamily,
        successes,
        SmallestChangeSettings(search=_TONED, backdoor=0.5, inconclusive=0.4),
        ("tone",),
        CoarseChangeSettings(search=_COARSELY_TONED, backdoor=0.5, inconclusive=0.4),
    ),
}
"""The detectors of this package, by name."""
