"""Ledger: what a repair changed, what it cost, and what is not known of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jaxtyping import Bool, Int64
from torch import Tensor

from trojancam.detection.findings import ScanReport
from trojancam.detection.judgement import Verdict
from trojancam.detection.suspect import Suspect
from trojancam.evaluation.statistics import share_interval
from trojancam.network.network import Network
from trojancam.rates import fidelity
from trojancam.removal.bounding import largest
from trojancam.removal.judging import Ruling
from trojancam.removal.reactivation import Reactivation
from trojancam.showing import Brief

MAY_COME_BACK = (
    "A repair suppresses a backdoor. Traces of it may be left in the weights, and a little poison or a small push can bring "
    "it back."
)

HALF = 0.5  # of what clean images reach


@dataclass(frozen=True)
class Counted(Brief):
    """A share of so many images, with Wilson's interval (1927), which holds the true share in 95 of 100 cases.

    >>> str(Counted.of(9, 10))
    '90.0% [59.6%, 98.2%]'
    """

    share: float
    low: float
    high: float
    images: int

    @classmethod
    def of(cls, hits: int, images: int) -> "Counted":
        """The share of hits; of no images, nothing is known."""
        return cls(hits / images if images else float("nan"), *share_interval(hits, images, "wilson"), images)

    def __str__(self) -> str:
        return f"{self.share:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class MeasuredAccuracy(Brief):
    """Clean accuracy: over all images, and of each class that has some, by its number."""

    overall: Counted
    of_class: Mapping[int, Counted]


@dataclass(frozen=True)
class ScanSummary(Brief):
    """What a scan says of a network: its verdict, its score, and the least score that is a backdoor."""

    verdict: Verdict
    score: float
    threshold: float

    @classmethod
    def of(cls, report: ScanReport) -> "ScanSummary":
        """Of a report, what decides."""
        return cls(report.verdict, report.score, report.threshold)


@dataclass(frozen=True)
class ModuleChange(Brief):
    """How far the parameters of a module moved: the length of the difference as a share of their own length."""

    module: str
    values: int
    change: float


@dataclass(frozen=True)
class BoundedLayer(Brief):
    """A layer whose feature maps were bounded: how many there are, and how many may reach less than half of what clean images do.

    `share` is the mean of bounds over what clean images reach without them.
    """

    layer: str
    feature_maps: int
    halved: int
    share: float


@dataclass(frozen=True)
class TryRecord(Brief):
    """A try in the ledger: its name, what it did, and what the judge said."""

    rung: str
    words: str
    ruling: Ruling


@dataclass(frozen=True)
class CleanReference(Brief):
    """The same measures of a network that is known to be clean: what a repaired one can be expected to reach."""

    accuracy: MeasuredAccuracy
    judged: Ruling
    reactivation: Reactivation


@dataclass(frozen=True)
class Ledger(Brief):
    """Before and after: what the judge measured, clean accuracy, scans, layers, re-activation; and what is not covered.

    `rung` is the try that became the result; `seconds` are those of the whole repair, by its parts. `reference` is a network
    that is known to be clean, where one was given. `bounds` are those that were put on activations.
    """

    verdict: Literal["repaired", "not repaired"]
    method: str
    rung: str | None
    judged_before: Ruling
    judged_after: Ruling | None
    accuracy_before: MeasuredAccuracy
    accuracy_after: MeasuredAccuracy | None
    scan_before: ScanSummary
    scan_after: ScanSummary | None
    modules: tuple[ModuleChange, ...]
    reactivation: Reactivation | None
    tries: tuple[TryRecord, ...]
    seconds: Mapping[str, float]
    remarks: tuple[str, ...] = ()
    reference: CleanReference | None = None
    bounds: tuple[BoundedLayer, ...] = ()

    @property
    def fidelity(self) -> float | None:
        """`trojancam.rates.fidelity` by the first recovered trigger, on the held-back images; None where it is not known."""
        after = self.judged_after
        if after is None or self.accuracy_after is None:
            return None
        clean = self.accuracy_before.overall.share, self.accuracy_after.overall.share
        found = fidelity(*clean, self.judged_before.trials[0].success, after.trials[0].success)
        return found if math.isfinite(found) else None

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        plain = asdict(self) | {"fidelity": self.fidelity}
        beside = (plain["reference"] or {}).get("accuracy")
        for accuracy in (plain["accuracy_before"], plain["accuracy_after"], beside):
            if accuracy is not None:
                accuracy["of_class"] = {str(number): each for number, each in accuracy["of_class"].items()}
        return plain


def accuracy(network: Network, images: Tensor, labels: Int64[Tensor, " n"]) -> MeasuredAccuracy:
    """The clean accuracy of a network, overall and by class."""
    hits = network(images).argmax(1).cpu() == labels.cpu()
    return MeasuredAccuracy(
        _counted(hits), {int(each): _counted(hits[labels.cpu() == each]) for each in labels.unique().cpu()}
    )


def _counted(hits: Bool[Tensor, " n"]) -> Counted:
    return Counted.of(int(hits.sum()), len(hits))


def changes(before: Network, after: Network) -> tuple[ModuleChange, ...]:
    """How far each module moved, in the order in which they run; those that stayed as they were have a change of 0."""
    old, new = before.parameters, after.parameters
    found = []
    for module, names in before.parameter_groups.items():
        length = sum(float(old[name].square().sum()) for name in names)
        moved = sum(float((new[name] - old[name]).square().sum()) for name in names)
        change = (moved / length) ** 0.5 if length else float(moved > 0)
        found.append(ModuleChange(module, sum(old[name].numel() for name in names), change))
    return tuple(found)


def bounded_layers(before: Network, after: Network, clean: Suspect) -> tuple[BoundedLayer, ...]:
    """The bounds of each layer that were put on a network, held against what clean images reach without them."""
    new = {layer: bound for layer, bound in after.bounds.items() if layer not in before.bounds}
    if not new:
        return ()
    tops = largest(before, clean)
    shares = {layer: (bound / tops[layer]).clamp(max=1) for layer, bound in new.items()}
    return tuple(
        BoundedLayer(layer, len(share), int((share < HALF).sum()), float(share.mean()))
        for layer, share in shares.items()
    )
