"""Clean accuracy: counted on hand-built networks, and who is not judged."""

import pytest
import torch
from tests.detection.planted import CLASSES, planted

from trojancam.detection.accuracy import CleanAccuracy, clean_accuracy
from trojancam.detection.scanning import scan
from trojancam.detection.suspect import suspect


def test_accuracy_is_counted() -> None:
    whole = planted(True)
    found = clean_accuracy(whole)
    assert (found.right, found.images, found.value) == (36, 36, 1.0)
    assert found.chance == pytest.approx(1 / CLASSES)
    wrong = suspect(whole.network, whole.images, (whole.labels + (torch.arange(36) < 9)) % CLASSES)
    assert clean_accuracy(wrong).right == 27


def test_guessing_is_right_more_often_where_a_class_is_frequent() -> None:
    whole = planted(True)
    ours = (whole.labels == 2).nonzero()[:, 0]
    assert clean_accuracy(suspect(whole.network, whole.images[ours], whole.labels[ours])).chance == 1.0


@pytest.mark.parametrize(
    ("right", "images", "chance", "judged"),
    [
        (97, 100, 1 / 43, True),
        (55, 100, 1 / 43, True),
        (45, 100, 1 / 43, True),  # may be right on most
        (30, 100, 1 / 43, False),
        (52, 100, 0.5, False),  # two classes: no better than guessing
        (2, 4, 1 / 43, True),
        (0, 4, 1 / 43, False),
    ],
)
def test_networks_that_are_wrong_on_most_images_or_guess_are_not_judged(
    right: int, images: int, chance: float, judged: bool
) -> None:
    assert (CleanAccuracy(right, images, chance).problem() == "") == judged


def test_a_network_that_is_wrong_is_not_judged_and_its_findings_are_still_told() -> None:
    whole = planted(True)
    report = scan(whole.network, whole.images, (whole.labels + 1) % CLASSES, "stimulation")
    assert report.verdict == "not judged"
    assert "right on 0 of 36" in report.judgement.reason
    assert report.findings
    assert report.opinions["stimulation"].verdict != "not judged"


def test_without_labels_the_accuracy_is_not_known_and_that_is_said() -> None:
    whole = planted(True)
    report = scan(whole.network, whole.images, methods="stimulation")
    assert report.verdict == "backdoor"
    assert report.judgement.accuracy is None
    assert "without labels" in report.judgement.in_words()[0]
