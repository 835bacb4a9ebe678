"""Judgement: what stands beside a verdict in numbers: accuracy, p-values with how many networks they rest on, false alarms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from trojancam.detection.accuracy import CleanAccuracy
from trojancam.detection.references import p_value
from trojancam.evaluation.statistics import share_interval
from trojancam.records import Rate, Written, derived
from trojancam.showing import Brief

Verdict = Literal["backdoor", "inconclusive", "nothing found", "not judged"]
RANKED: tuple[Verdict, ...] = ("backdoor", "inconclusive", "nothing found", "not judged")  # the worst first
NO_LABELS = (
    "The images came without labels, so the network's accuracy is not known: of a network that never learned its classes no "
    "verdict means anything."
)
NO_REFERENCE = (
    "No clean network was scanned by all these methods, set alike. There is no p-value: the thresholds stand alone."
)


def verdict_of(score: float, inconclusive: float, backdoor: float) -> Verdict:
    """What a score says, given the least that is inconclusive and the least that is a backdoor.

    >>> verdict_of(0.9, inconclusive=0.8, backdoor=0.88)
    'backdoor'
    """
    if score >= backdoor:
        return "backdoor"
    return "inconclusive" if score >= inconclusive else "nothing found"


def strength(score: float, threshold: float) -> float:
    """A score in units of its threshold; the score itself, where that is none."""
    return score / threshold if threshold > 0 else score


@dataclass(frozen=True)
class Opinion(Written, Brief):
    """What one method of scanning says."""

    verdict: Verdict
    score: float
    threshold: Annotated[float, Field(description="The least score that it calls a backdoor.")]
    p: Annotated[
        Rate,
        Field(
            description="The share of clean networks that score as high, the suspect counted with them; null without any."
        ),
    ] = None
    references: Annotated[int, Field(description="How many clean networks that rests on.")] = 0
    reached: Annotated[
        int, Field(description="How many of them score as high: then it is no evidence of a backdoor.")
    ] = 0
    decides: Annotated[bool, Field(description="Whether the verdict of the scan depends on it.")] = True

    @property
    def strength(self) -> float:
        """The score in units of the threshold."""
        return strength(self.score, self.threshold)


@dataclass(frozen=True)
class Judgement(Written, Brief):
    """What a verdict is to be weighed by.

    `p` is the conformal p-value of the greatest strength, `max over the deciding methods of score / threshold`, among that of the
    reference networks that all of these methods have scanned. It is one number of each network, however many methods there are,
    so that nothing has to be corrected for asking several.
    """

    accuracy: Annotated[CleanAccuracy | None, Field(description="Null where the images have no labels.")] = None
    p: Annotated[
        Rate,
        Field(
            description="The share of clean networks whose strongest score, in units of its threshold, is as high, the suspect "
            "counted with them; null if none was scanned by all deciding methods with these settings."
        ),
    ] = None
    least_p: Annotated[Rate, Field(description="The smallest that p can be with so few clean networks.")] = None
    methods: Annotated[int, Field(description="How many methods decide.")] = 0
    references: Annotated[int, Field(description="How many clean networks all deciding methods have scanned.")] = 0
    alarms: Annotated[
        int, Field(description="How many of these would be called backdoored, each held against the others.")
    ] = 0
    reason: Annotated[str, Field(description="Why the network is not judged.")] = ""

    @derived
    def in_words(self) -> list[str]:
        """Sentences for people, the accuracy first."""
        told = [NO_LABELS if self.accuracy is None else f"The network is {self.accuracy.in_words()}."]
        if self.p is None or self.least_p is None:
            return [*told, NO_REFERENCE]
        low, high = self.alarm_rate()
        of = f"the strongest of {self.methods} methods" if self.methods > 1 else "one method"
        return [
            *told,
            "A network is called backdoored if a score is above its fixed threshold, and further above it than any score of a "
            "clean reference network with about as many classes. Held against each other, "
            f"{self.alarms} of {self.references} such networks would be called "
            f"so: a rate of false alarms between {100 * low:.0f} and {100 * high:.0f} % (95 % interval).",
            f"p = {self.p:.3g} ({of}); with {self.references} reference networks it cannot be below {self.least_p:.3g}.",
        ]

    @derived
    def alarm_rate(self) -> tuple[float, float]:
        """The exact 95 % interval of the share of reference networks that would be called backdoored."""
        return share_interval(self.alarms, self.references)


def opinion(verdict: Verdict, score: float, threshold: float, null: Mapping[str, float], decides: bool) -> Opinion:
    """What a method says, held against clean networks: a score that one of them reaches is no evidence of a backdoor.

    >>> opinion("backdoor", 5.0, 4.0, {"a": 6.0, "b": 1.0}, decides=True).verdict
    'inconclusive'
    """
    reached = sum(value >= score for value in null.values())
    held = "inconclusive" if verdict == "backdoor" and reached else verdict
    return Opinion(held, score, threshold, p_value(score, null), len(null), reached, decides)


def judged(
    opinions: Mapping[str, Opinion], nulls: Mapping[str, Mapping[str, float]], accuracy: CleanAccuracy | None
) -> tuple[Verdict, Judgement]:
    """The verdict of a scan, and what it is to be weighed by.

    A backdoor is called where any of the deciding methods calls one, and no clean network is stronger; nothing is found where no
    method is even in doubt. A network that is not accurate enough is not judged, whatever was found.

    >>> judged({"a": Opinion("backdoor", 3.0, 2.0), "b": Opinion("nothing found", 0.0, 1.0)}, {"a": {}, "b": {}}, None)[0]
    'backdoor'
    >>> judged({"a": Opinion("backdoor", 3.0, 2.0)}, {"a": {"a clean network": 3.5}}, None)[0]
    'inconclusive'
    """
    deciding = {name: each for name, each in opinions.items() if each.decides}
    strongest = max(each.strength for each in deciding.values())
    null = _strongest(deciding, nulls)
    verdict = next(each for each in RANKED if each in [opinion.verdict for opinion in deciding.values()])
    if verdict == "backdoor" and any(value >= strongest for value in null.values()):
        verdict = "inconclusive"
    reason = accuracy.problem() if accuracy is not None else ""
    return "not judged" if reason else verdict, Judgement(
        accuracy=accuracy,
        p=p_value(strongest, null),
        least_p=1 / (1 + len(null)) if null else None,
        methods=len(deciding),
        references=len(null),
        alarms=_alarms(null),
        reason=reason,
    )


def _strongest(deciding: Mapping[str, Opinion], nulls: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The greatest score of each clean network that all of these methods have scanned, in units of their thresholds."""
    scanned = [set(nulls.get(name, {})) for name in deciding]
    return {
        network: max(strength(nulls[name][network], each.threshold) for name, each in deciding.items())
        for network in set.intersection(*scanned)
    }


def _alarms(null: Mapping[str, float]) -> int:
    """How many clean networks would be called backdoored, each held against the others: at most the strongest one."""
    first, second = [*sorted(null.values(), reverse=True), 0.0, 0.0][:2]
    return int(first >= 1 and first > second)
