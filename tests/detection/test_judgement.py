"""Judgement: the worst opinion of those that decide, p-values by Holm, and false alarms over networks that all have scanned."""

import pytest
import torch

from trojancam.detection.accuracy import CleanAccuracy
from trojancam.detection.judgement import Opinion, judged, opinion
from trojancam.evaluation.statistics import holm

CLEAN = Opinion("nothing found", 1.0, 2.0)
DOUBT = Opinion("inconclusive", 1.5, 2.0)
BACKDOOR = Opinion("backdoor", 3.0, 2.0)
GOOD, POOR = CleanAccuracy(97, 100, 0.1), CleanAccuracy(12, 100, 0.1)


@pytest.mark.parametrize(
    ("opinions", "verdict"),
    [
        ((CLEAN, CLEAN), "nothing found"),
        ((CLEAN, DOUBT), "inconclusive"),
        ((DOUBT, BACKDOOR), "backdoor"),
        ((CLEAN, Opinion("backdoor", 3.0, 2.0, decides=False)), "nothing found"),
    ],
)
def test_the_worst_of_those_that_decide_counts(opinions: tuple[Opinion, ...], verdict: str) -> None:
    named = {str(place): each for place, each in enumerate(opinions)}
    assert judged(named, {}, GOOD)[0] == verdict
    found, judgement = judged(named, {}, POOR)
    assert found == "not judged"
    assert "12 of 100" in judgement.reason


def test_p_values_are_combined_as_holm_does() -> None:
    nulls = {
        "a": {str(number): float(number) for number in range(19)},
        "b": {str(number): float(number) for number in range(19)},
        "c": {},
    }
    scores = {"a": 17.5, "b": 3.0, "c": 1.0}
    opinions = {name: opinion("nothing found", score, 18.0, nulls[name], True) for name, score in scores.items()}
    _, judgement = judged(opinions, nulls, GOOD)
    known = torch.tensor([each.p for each in opinions.values() if each.p is not None])
    assert judgement.p == pytest.approx(float(holm(known).min()))
    assert (judgement.p, judgement.least_p, judgement.methods) == (pytest.approx(0.2), pytest.approx(0.1), 2)
    assert judgement.references == 0  # no network was scanned by all three


def test_alarms_are_counted_over_networks_that_all_methods_have_scanned_each_held_against_the_others() -> None:
    nulls = {"a": {"1": 5.0, "2": 1.0, "3": 1.0}, "b": {"1": 0.0, "2": 9.0, "4": 9.0}}
    opinions = {name: opinion("nothing found", 1.0, 4.0, nulls[name], True) for name in nulls}
    _, judgement = judged(opinions, nulls, None)
    # Network 2 scores 9 by b, but so does network 4: neither would be called backdoored.
    assert (judgement.references, judgement.alarms) == (2, 1)
    assert "1 of 2 such networks would be called so" in judgement.in_words()[1]
    low, high = judgement.alarm_rate()
    assert (low, high) == (pytest.approx(1 - 0.975**0.5), pytest.approx(0.975**0.5))


@pytest.mark.parametrize(
    ("score", "verdict", "held", "reached"),
    [
        (7.0, "backdoor", "backdoor", 0),
        (6.0, "backdoor", "inconclusive", 1),
        (5.0, "backdoor", "inconclusive", 1),
        (1.0, "nothing found", "nothing found", 2),
        (2.0, "inconclusive", "inconclusive", 1),
    ],
)
def test_a_score_that_a_clean_network_reaches_is_no_evidence(
    score: float, verdict: str, held: str, reached: int
) -> None:
    found = opinion(verdict, score, 4.0, {"1": 6.0, "2": 1.0}, True)  # type: ignore[arg-type]
    assert (found.verdict, found.reached) == (held, reached)
    assert opinion(verdict, score, 4.0, {}, True).verdict == verdict  # type: ignore[arg-type]
