"""Judgement: what stands beside a verdict in numbers: accuracy, p-values with how many networks they rest on, false alarms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trojancam.detection.accuracy import CleanAccuracy, interval
from trojancam.detection.references import p_value
from trojancam.showing import Brief

Verdict = Literal["backdoor", "inconclusive", "nothing found", "not judged"]
NO_LABELS = (
    "The images came without labels, so the network's accuracy is not known: of a network that never learned its classes no "
    "verdict means anything."
)
NO_REFERENCE = "No clean network was scanned with these settings: there is no p-value, and the thresholds stand alone."


def verdict_of(score: float, inconclusive: float, backdoor: float) -> Verdict:
    """What a score says, given the least that is inconclusive and the least that is a backdoor.

    >>> verdict_of(0.9, inconclusive=0.8, backdoor=0.88)
    'backdoor'
    """
    if score >= backdoor:
        return "backdoor"
    return "inconclusive" if score >= inconclusive else "nothing found"


@dataclass(frozen=True)
class Opinion(Brief):
    """What one method says: its verdict, its score, and the least score that it calls a backdoor.

    `p` is the conformal p-value of the score among `references` clean networks (None: there is none); `decides` says whether
    the verdict of the scan depends on it.
    """

    verdict: Verdict
    score: float
    threshold: float
    p: float | None = None
    references: int = 0
    decides: bool = True

    @property
    def strength(self) -> float:
        """The score in units of the threshold."""
        return self.score / self.threshold if self.threshold > 0 else self.score


@dataclass(frozen=True)
class Judgement(Brief):
    """What a verdict is to be weighed by.

    `accuracy` is None without labels. `p` is the smallest p-value of the deciding methods times their number, at most 1: the
    first step of Holm's method (1979), which holds however the methods depend on each other. `least_p` is the smallest that it
    can be with so few networks. Of `references` clean networks that all deciding methods have scanned, `alarms` reach the
    threshold of any; `set_above` says that the thresholds were set above them. `reason` says why a network is not judged.
    """

    accuracy: CleanAccuracy | None = None
    p: float | None = None
    least_p: float | None = None
    methods: int = 0
    references: int = 0
    alarms: int = 0
    set_above: bool = False
    reason: str = ""

    def in_words(self) -> list[str]:
        """Sentences for people, the accuracy first."""
        told = [NO_LABELS if self.accuracy is None else f"The network is {self.accuracy.in_words()}."]
        if self.p is None or self.least_p is None:
            return [*told, NO_REFERENCE]
        low, high = self.alarm_rate()
        of = f"{self.methods} methods, by Holm" if self.methods > 1 else "one method"
        known, ends = f"{self.references} clean reference networks", f"{100 * low:.0f} to {100 * high:.0f} %"
        alarms = (
            f"They were set above {known}, so that they are reached by at most {math.ceil(100 * high)} % of clean networks like "
            "these: "
            "with so few, no less can be promised."
            if self.set_above
            else f"Of {known}, {self.alarms} reach one (95 % interval of the rate of false alarms {ends})."
        )
        return [
            *told,
            f"The verdict rests on fixed thresholds. {alarms}",
            f"p = {self.p:.3g} (over {of}); with {self.references} reference networks it cannot be below {self.least_p:.3g}.",
        ]

    def alarm_rate(self) -> tuple[float, float]:
        """Bounds of the rate of false alarms: the exact 95 % interval of the share of reference networks.

        Where the thresholds were set above these, that share says nothing: then a clean network that is drawn like them is above
        all n of them with a probability of at most 1 / (n + 1) by each method.
        """
        if self.set_above and not self.alarms:
            return 0.0, min(1.0, self.methods / (self.references + 1))
        return interval(self.alarms, self.references)

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        low, high = self.alarm_rate()
        return {
            "accuracy": self.accuracy.to_json() if self.accuracy else None,
            "p": self.p,
            "least_p": self.least_p,
            "combined": "Holm",
            "methods": self.methods,
            "references": self.references,
            "alarms": self.alarms,
            "alarm_rate": [low, high],
            "set_above": self.set_above,
            "reason": self.reason,
            "in_words": self.in_words(),
        }


def opinion(verdict: Verdict, score: float, threshold: float, null: Mapping[str, float], decides: bool) -> Opinion:
    """What a method says, held against clean networks."""
    return Opinion(verdict, score, threshold, p_value(score, null), len(null), decides)


def judged(
    opinions: Mapping[str, Opinion],
    nulls: Mapping[str, Mapping[str, float]],
    accuracy: CleanAccuracy | None,
    set_above: bool = False,
) -> tuple[Verdict, Judgement]:
    """The verdict of a scan, and what it is to be weighed by.

    A backdoor is called where any of the deciding methods calls one, nothing is found where none is even in doubt; a network that
    is not accurate enough is not judged, whatever was found.

    >>> judged({"a": Opinion("backdoor", 3.0, 2.0), "b": Opinion("nothing found", 0.0, 1.0)}, {"a": {}, "b": {}}, None)[0]
    'backdoor'
    """
    deciding = {name: each for name, each in opinions.items() if each.decides}
    said = [each.verdict for each in deciding.values()]
    ranked: tuple[Verdict, ...] = ("backdoor", "inconclusive", "nothing found", "not judged")
    verdict = next(each for each in ranked if each in said)
    reason = accuracy.problem() if accuracy is not None else ""
    known = [(each.p, each.references) for each in deciding.values() if each.p is not None]
    ours = {name: nulls[name] for name in deciding if nulls.get(name)}
    common = set.intersection(*(set(null) for null in ours.values())) if len(ours) == len(deciding) else set()
    alarms = sum(any(null[each] >= opinions[name].threshold for name, null in ours.items()) for each in common)
    return "not judged" if reason else verdict, Judgement(
        accuracy=accuracy,
        p=min(1.0, len(known) * min(p for p, _ in known)) if known else None,
        least_p=min(1.0, len(known) / (1 + max(count for _, count in known))) if known else None,
        methods=len(known),
        references=len(common),
        alarms=alarms,
        set_above=set_above and not alarms,
        reason=reason,
    )
