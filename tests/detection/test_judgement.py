"""Judgement: the worst opinion of those that decide, p-values of the strongest score, false alarms over clean networks."""

import random

import pytest

from trojancam.detection.accuracy import CleanAccuracy
from trojancam.detection.judgement import Opinion, judged, opinion

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


def test_p_is_that_of_the_strongest_score_in_units_of_its_threshold() -> None:
    nulls = {
        "a": {"1": 2.0, "2": 1.0, "3": 1.0, "of a alone": 9.0},
        "b": {"1": 0.0, "2": 0.7, "3": 0.1, "of b alone": 9.0},
    }
    thresholds, scores = {"a": 4.0, "b": 1.0}, {"a": 2.4, "b": 0.2}
    opinions = {name: opinion("nothing found", scores[name], thresholds[name], nulls[name], True) for name in nulls}
    _, judgement = judged(opinions, nulls, GOOD)
    # The suspect's strength is 0.6; those of the networks that both have scanned are 0.5, 0.7 and 0.25.
    assert (judgement.p, judgement.least_p) == (pytest.approx(2 / 4), pytest.approx(1 / 4))
    assert (judgement.methods, judgement.references, judgement.alarms) == (2, 3, 0)


@pytest.mark.parametrize("missing", [{}, {"other": 1.0}])
def test_there_is_no_p_value_where_no_clean_network_was_scanned_by_all(missing: dict[str, float]) -> None:
    nulls = {"a": {"1": 1.0}, "b": missing}
    opinions = {name: opinion("nothing found", 1.0, 4.0, nulls[name], True) for name in nulls}
    _, judgement = judged(opinions, nulls, GOOD)
    assert (judgement.p, judgement.least_p, judgement.references) == (None, None, 0)
    assert "no p-value" in judgement.in_words()[-1]


def test_a_clean_network_that_is_stronger_by_another_method_holds_a_backdoor_in_doubt() -> None:
    nulls = {"a": {"1": 1.0}, "b": {"1": 9.0}}
    opinions = {
        "a": opinion("backdoor", 6.0, 4.0, nulls["a"], True),
        "b": opinion("nothing found", 1.0, 4.0, nulls["b"], True),
    }
    assert opinions["a"].verdict == "backdoor"
    assert judged(opinions, nulls, GOOD)[0] == "inconclusive"
    assert judged(opinions, {"a": {"1": 1.0}, "b": {"1": 5.9}}, GOOD)[0] == "backdoor"


def test_p_values_of_clean_networks_are_uniform_or_larger_however_many_methods_decide() -> None:
    drawn = random.Random(0)
    names, networks, least = ("a", "b", "c", "d"), 19, 0
    for _ in range(400):
        nulls = {name: {str(number): drawn.lognormvariate(0, 1) for number in range(networks)} for name in names}
        opinions = {
            name: opinion("nothing found", drawn.lognormvariate(0, 1), 5.0, nulls[name], True) for name in names
        }
        p = judged(opinions, nulls, GOOD)[1].p
        assert p is not None
        least += p <= 1 / (networks + 1)
    assert least / 400 == pytest.approx(1 / (networks + 1), abs=0.03)


def test_alarms_are_counted_over_networks_that_all_methods_have_scanned_each_held_against_the_others() -> None:
    nulls = {"a": {"1": 5.0, "2": 1.0, "3": 1.0}, "b": {"1": 0.0, "2": 9.0, "4": 9.0}}
    opinions = {name: opinion("nothing found", 1.0, 4.0, nulls[name], True) for name in nulls}
    _, judgement = judged(opinions, nulls, None)
    # Networks 1 and 2 were scanned by both, and both are above a threshold: only the stronger one would be called so.
    assert (judgement.references, judgement.alarms) == (2, 1)
    assert "1 of 2 such networks would be called so" in judgement.in_words()[1]
    low, high = judgement.alarm_rate()
    assert (low, high) == (pytest.approx(1 - 0.975**0.5), pytest.approx(0.975**0.5))
    tied = {"a": {"1": 9.0, "2": 9.0}, "b": {"1": 0.0, "2": 0.0}}
    assert judged(opinions, tied, None)[1].alarms == 0


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
