"""Goals: who is sent where, which others stand beside them, and how a network answers, counted by hand."""

import math

import pytest
import torch
from tests.removal.trojaned import NEAR, TRUE, finding, network, seen

from trojancam.attacks.additive import Additive
from trojancam.attacks.trigger import Trigger
from trojancam.detection.findings import Finding
from trojancam.detection.suspect import Suspect
from trojancam.removal.fresh import ChangeKind
from trojancam.removal.goal import Culprit, Goal, answer, controls, found_maps, goal_of, to_one


def test_victims_are_those_that_are_sent_elsewhere() -> None:
    goal = goal_of(Finding("by hand", 1, 1.0, class_map=((0, 2), (2, 1))), 4)
    labels = torch.tensor([0, 1, 2, 3, 0])
    assert goal.wanted(labels).tolist() == [2, 1, 1, 3, 2]
    assert goal.victims(labels).tolist() == [True, False, True, False, True]
    assert to_one(1, 4).victims(labels).tolist() == [True, False, True, True, True]


def test_controls_of_one_class_are_all_the_others_at_most_as_many_as_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [control.targets.unique().tolist() for control in controls(to_one(2, 6), 9, generator)]
    assert sorted(found) == [[0], [1], [3], [4], [5]]
    assert len(controls(to_one(2, 6), 3, generator)) == 3


def test_controls_of_a_map_send_the_same_classes_elsewhere_and_leave_the_others_alone() -> None:
    goal = Goal(torch.tensor([1, 2, 3, 0, 4]))
    found = [control.targets.tolist() for control in controls(goal, 9, torch.Generator())]
    assert found == [[0, 1, 2, 3, 4], [3, 0, 1, 2, 4], [2, 3, 0, 1, 4]]
    assert [control.targets.tolist() for control in controls(goal, 1, torch.Generator())] == found[:1]


def test_maps_of_several_findings_are_named_once_and_in_order() -> None:
    maps = [("a", (3, 1)), ("b", (2,)), ("a", (1, 0)), (None, (5,)), ("c", ())]
    findings = [Finding("by hand", 1, 1.0, layer, numbers, trigger=NEAR) for layer, numbers in maps]
    assert found_maps(Culprit.of(each, 9) for each in findings) == {"a": [0, 1, 3], "b": [2]}


def counted(trigger: Trigger, clean: Suspect, goal: Goal) -> tuple[float, float]:
    """Success rate and robust accuracy, one image after the other."""
    sent, kept, victims = 0, 0, 0
    for image, label in zip(clean.images, clean.labels.tolist(), strict=True):
        wanted = int(goal.targets[label])
        if wanted != label:
            named = int(clean.network(trigger.apply(image[None])).argmax())
            victims, sent, kept = victims + 1, sent + (named == wanted), kept + (named == label)
    return sent / victims, kept / victims


def test_a_network_s_answer_is_what_its_victims_are_called() -> None:
    clean = seen()
    culprit = Culprit.of(finding(TRUE), clean.classes)
    for goal in (culprit.goal, to_one(culprit.finding.target_class - 1, clean.classes)):
        found = answer(network(), culprit.trigger, clean, goal)
        torch.testing.assert_close(
            torch.tensor([found.success, found.robust]), torch.tensor(counted(TRUE, clean, goal))
        )
    assert answer(network(), TRUE, clean, culprit.goal).success > 0.9


def test_without_a_victim_there_is_no_number() -> None:
    clean = seen()
    nobody = answer(clean.network, TRUE, clean, Goal(torch.arange(clean.classes)))
    assert math.isnan(nobody.success)
    assert math.isnan(nobody.robust)


@pytest.mark.parametrize(
    ("size", "usual", "larger"),
    [(2.0, 4.0, 2.2), (1.0, 1.1, 1.5), (0.5, 4.0, 2.25)],
    ids=["so much", "at least", "at most"],
)
def test_others_of_a_change_are_up_to_a_little_larger_than_most_classes_need(
    size: float, usual: float, larger: float
) -> None:
    evidence = {"size": size, "median_size": usual}
    change = Additive(torch.full((3, 8, 8), 0.1))
    kind = Culprit.of(Finding("additive", 1, 1.0, trigger=change, evidence=evidence), 3).kind
    assert isinstance(kind, ChangeKind)
    assert kind.larger == pytest.approx(larger)
    sizes = [each.size for each in kind.start(50, torch.Generator().manual_seed(0)).triggers()]
    assert change.size <= min(sizes) * 1.001
    assert 0.9 * larger * change.size < max(sizes) <= larger * change.size * 1.001
