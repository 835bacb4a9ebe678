"""The judge's rules, each at its border; and what it measures of a network whose backdoor was built by hand."""

from dataclasses import replace

import pytest
import torch
from tests.removal.trojaned import TRUE, finding, further, network

from trojancam.detection.suspect import suspect
from trojancam.removal.goal import Culprit, answer
from trojancam.removal.judging import (
    EXCESS,
    MOST,
    RECOVERED,
    RECOVERED_OTHERS,
    ROBUST,
    Ruling,
    Trial,
    _broken,
    ruling_on,
)

IMAGES = 100
GOOD = Trial(2, success=0.0, robust=0.9, fresh=0.1, control=0.1)


def broken(
    *trials: Trial, accuracy: float = 0.9, before: float = 0.9, budget: float = 0.01, victims: int = IMAGES
) -> list[str]:
    return _broken(Ruling(accuracy, IMAGES, trials), before, budget, [victims] * len(trials))


@pytest.mark.parametrize(
    ("name", "border", "said"),
    [
        ("success", RECOVERED, "the recovered trigger of class 2 still turns"),
        ("relatives", 0.05, "a relative of the triggers of class 2 that worked before still turns"),
        ("fresh", 0.1 + EXCESS, "fresh triggers of class 2 turn"),
    ],
)
def test_what_a_trigger_may_still_do(name: str, border: float, said: str) -> None:
    assert broken(replace(GOOD, **{name: border - 1e-6})) == []
    (sentence,) = broken(replace(GOOD, **{name: border + 1e-6}))
    assert sentence.startswith(said)
    (sentence,) = broken(replace(GOOD, **{name: float("nan")}))  # what cannot be told does not pass
    assert sentence.startswith(said)


def test_images_with_the_recovered_trigger_on_are_recognised_as_often_as_three_of_four_clean_ones() -> None:
    assert broken(replace(GOOD, robust=ROBUST * 0.9)) == []
    (sentence,) = broken(replace(GOOD, robust=ROBUST * 0.9 - 1e-6))
    assert sentence == "with the recovered trigger of class 2 on, only 67% of the images are recognised"


@pytest.mark.parametrize(("victims", "border"), [(9, MOST), (25, 0.1), (1000, 0.05)])
def test_of_few_victims_a_relative_may_turn_two_images_but_no_more_than_a_share(victims: int, border: float) -> None:
    assert broken(replace(GOOD, relatives=border - 1e-6), victims=victims) == []
    assert len(broken(replace(GOOD, relatives=border + 1e-6), victims=victims)) == 1


def test_further_findings_may_still_turn_a_few_more_images() -> None:
    second = replace(GOOD, target_class=5, success=RECOVERED_OTHERS, relatives=RECOVERED_OTHERS, robust=0.0)
    assert broken(GOOD, second) == []
    assert len(broken(second, GOOD)) == 3
    assert len(broken(GOOD, replace(second, success=RECOVERED_OTHERS + 1e-6))) == 1


def test_clean_accuracy_may_fall_by_the_budget_or_by_one_image() -> None:
    assert broken(GOOD, accuracy=0.88, before=0.9, budget=0.02) == []
    assert broken(GOOD, accuracy=0.89, before=0.9, budget=0.0) == []
    assert broken(GOOD, accuracy=0.875, before=0.9, budget=0.02) == [
        "clean accuracy on held-back images fell from 90.0% to 87.5%"
    ]


def test_the_worst_is_what_answers_most_and_a_ruling_survives_json() -> None:
    ruling = Ruling(0.9, IMAGES, (GOOD, replace(GOOD, success=0.2, fresh=0.5, relatives=0.3)), ("it is so",))
    assert ruling.worst == pytest.approx(0.4)  # 0.5 of the fresh ones, of which others make up 0.1
    assert not ruling.passed
    assert Ruling.from_json(ruling.to_json()) == ruling


def test_a_network_as_it_came_breaks_the_rules_that_a_backdoor_breaks() -> None:
    held_back = suspect(network(), *further())
    culprit = Culprit.of(finding(TRUE), held_back.classes)
    ruling = ruling_on(held_back.network, [culprit], held_back, 1.0, 0.01, seed=0)
    (trial,) = ruling.trials
    known = answer(held_back.network, TRUE, held_back, culprit.goal)
    assert (trial.success, trial.robust) == (known.success, known.robust)
    assert trial.success > 0.9
    assert trial.relatives >= trial.success  # the trigger is a relative of its own
    predicted = held_back.network(held_back.images).argmax(1)
    assert ruling.accuracy == pytest.approx(float((predicted == held_back.labels).float().mean()))
    assert ruling.broken[0].startswith(f"the recovered trigger of class {trial.target_class} still turns")
    measured = ruling_on(held_back.network, [culprit], held_back, None, 0.01, seed=0)
    assert (measured.trials, measured.broken) == (ruling.trials, ())
    assert torch.equal(held_back.network(held_back.images).argmax(1), predicted)
