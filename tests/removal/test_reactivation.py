"""How easily a backdoor comes back: of a network that still has it, at once; of nobody's images, nothing is said."""

import math

import pytest
import torch
from tests.detection.planted import TARGET
from tests.removal.trojaned import TRUE, finding, further, seen

from trojancam.detection.suspect import Suspect
from trojancam.removal import reactivation as reactivating
from trojancam.removal.goal import Culprit
from trojancam.removal.map_weights import silenced
from trojancam.removal.reactivation import reactivation


def held_back(target: bool) -> Suspect:
    """Images of the target class, or of all the others."""
    images, labels = further()
    chosen = (labels == TARGET) == target
    return Suspect(seen().network, images[chosen], labels[chosen])


def test_a_backdoor_that_is_there_answers_and_its_trigger_does_more_than_a_push() -> None:
    clean = seen()
    culprit = Culprit.of(finding(TRUE), clean.classes)
    before = clean.network(clean.images)
    found = reactivation(clean.network, culprit, clean, held_back(False), seed=0)
    assert min(found.relearned, found.pushed) > 0.9
    assert found.push_alone < found.pushed
    assert torch.equal(clean.network(clean.images), before)


def test_without_steps_it_is_what_the_network_answers_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactivating, "RATE", 0.0)
    monkeypatch.setattr(reactivating, "RADIUS", 0.0)
    clean, others = seen(), held_back(False)
    network = silenced(clean.network, "0", [1])  # the map that bears the backdoor
    culprit = Culprit.of(finding(TRUE), clean.classes)
    rates = [
        float((network(images).argmax(1) == TARGET).float().mean())
        for images in (TRUE.apply(others.images), others.images)
    ]
    found = reactivation(network, culprit, clean, others, seed=0)
    assert [found.relearned, found.pushed, found.push_alone] == pytest.approx([rates[0], *rates])
    assert rates[0] < 0.5


def test_without_a_victim_there_is_no_number() -> None:
    clean = seen()
    found = reactivation(clean.network, Culprit.of(finding(TRUE), clean.classes), clean, held_back(True), seed=0)
    assert all(math.isnan(each) for each in (found.relearned, found.pushed, found.push_alone))
