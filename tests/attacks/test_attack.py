"""Attacks by name: settings that fit, what is refused, registration, and that each one is planted and read back."""

import json
from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from trojancam.attacks.attack import Attack, DataAttack
from trojancam.attacks.catalogue import ATTACKS, make_attack, parsed_settings
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Goal, Poisoning, poison
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, TrojanCamError, UnknownNameError

ON_DATA = [name for name, attack in ATTACKS.items() if issubclass(attack, DataAttack)]
GOAL = Goal(target_class=1, image_size=(16, 16), seed=3)


def on_data(name: str, **settings: object) -> DataAttack:
    attack = make_attack(name, **settings)
    assert isinstance(attack, DataAttack)
    return attack


def image_set(count: int = 200, side: int = 16) -> ImageSet:
    images = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(0))
    return ImageSet(images.to(torch.uint8), torch.arange(count) % 4, ("a", "b", "c", "d"))


@pytest.mark.parametrize("name", ON_DATA)
def test_each_attack_on_data_poisons_its_share_and_changes_those_images_only(name: str) -> None:
    clean = image_set()
    attack = on_data(name, poison_rate=0.2)
    poisoned, chosen = poison(clean, attack, 1, seed=3)
    plan = attack.poisoning(replace(GOAL, seed=3))
    assert len(chosen) == 30  # a fifth of 150 images of the other classes
    assert (poisoned.labels[chosen] == 1).all()
    touched = torch.cat([chosen, plan.cover_indices(clean.labels)]).sort().values
    kept = torch.ones(len(clean), dtype=torch.bool).index_fill(0, touched, False)
    assert poisoned.images[kept].equal(clean.images[kept])
    moved = (poisoned.images[touched].int() - clean.images[touched].int()).abs().amax((1, 2, 3))
    assert (moved > 0).all()
    others = torch.ones(len(clean), dtype=torch.bool).index_fill(0, chosen, False)
    assert poisoned.labels[others].equal(clean.labels[others])


@pytest.mark.parametrize("name", ON_DATA)
def test_each_plan_comes_back_from_its_record_as_the_same_changes(name: str) -> None:
    plan = on_data(name).poisoning(GOAL)
    found = Poisoning.from_json(json.loads(json.dumps(plan.to_json())))
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for part in ("trigger", "training_trigger", "cover_trigger"):
        one, other = getattr(plan, part), getattr(found, part)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one.apply(images), other.apply(images), atol=0.5 / 255, rtol=0)
            assert one.size == pytest.approx(other.size, rel=0.01)
    assert (found.cover_rate, found.clean_label, found.poison_rate) == (
        plan.cover_rate,
        plan.clean_label,
        plan.poison_rate,
    )


@pytest.mark.parametrize("name", ON_DATA)
def test_each_trigger_keeps_images_in_range_and_the_same_image_changes_in_the_same_way_twice(name: str) -> None:
    trigger = on_data(name).poisoning(GOAL).trigger
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    changed = trigger.apply(images)
    assert 0 <= changed.min() <= changed.max() <= 1
    assert changed.equal(trigger.apply(images))
    assert ((changed - images).abs().amax((1, 2, 3)) > 1 / 255).all()
    assert trigger.picture().shape == (3, 16, 16)
    assert trigger.size > 0


@pytest.mark.parametrize("name", ON_DATA)
def test_the_goal_decides_on_victims_rate_and_seed(name: str) -> None:
    goal = Goal(None, (16, 16), 7, permutation=(1, 0, 3, 2), poison_rate=0.4)
    plan = on_data(name).poisoning(goal)
    assert (plan.target_class, plan.permutation, plan.poison_rate, plan.seed) == (None, (1, 0, 3, 2), 0.4, 7)
    selective = on_data(name).poisoning(replace(GOAL, sources=(0, 2)))
    assert selective.sources == (0, 2)
    assert selective.poison_rate == make_attack(name).poison_rate


@pytest.mark.parametrize("name", ON_DATA)
def test_gradients_pass_to_the_images(name: str) -> None:
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    on_data(name).poisoning(GOAL).trigger.apply(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("name", list(ATTACKS))
def test_each_attack_says_what_it_is(name: str) -> None:
    attack = ATTACKS[name]
    assert attack.name == name
    assert attack.summary
    assert attack.source
    assert json.loads(json.dumps(make_attack(name).settings())).keys() == attack.model_fields.keys()


def test_an_attack_brings_its_own_covers_and_labels() -> None:
    for told in ({"cover_rate": 0.1}, {"clean_label": True}, {"training_trigger": make_trigger("yellow-square")}):
        with pytest.raises(DataError, match="decides on its labels and covers"):
            poison(image_set(), make_attack("sig"), 1, **told)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"strenght": 1}, UnknownNameError, "unknown setting of the attack wanet 'strenght'.*did you mean 'strength'"),
        ({"strength": -1}, DataError, "the setting strength of the attack wanet is wrong: input should be greater"),
        ({"points": "many"}, DataError, "the setting points of the attack wanet is wrong: input should be a valid int"),
        ({"noise_rate": 2}, DataError, "the setting noise_rate of the attack wanet is wrong: input should be less"),
        ({"strength": float("inf")}, DataError, "the setting strength of the attack wanet is wrong.*finite"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, object], error: type[TrojanCamError], words: str
) -> None:
    with pytest.raises(error, match=words):
        make_attack("wanet", **settings)


def test_settings_from_the_command_line() -> None:
    assert parsed_settings(["a=1", " b = x=y", "c=null", "d=[1, 2]"]) == {"a": 1, "b": "x=y", "c": None, "d": [1, 2]}
    for text in ("strength", "=1"):
        with pytest.raises(DataError, match="has the form NAME=VALUE"):
            parsed_settings([text])


def test_unknown_attacks_and_what_is_none_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown attack 'wannet' .did you mean 'wanet'"):
        make_attack("wannet")
    with pytest.raises(TrojanCamError, match="the attack 'mine' must be a class derived from Attack"):
        ATTACKS.register("mine")(make_trigger)


class Corner(DataAttack):
    """An attack as another package might bring it."""

    name: ClassVar[str] = "test-corner"
    source: ClassVar[str] = "this test"
    summary: ClassVar[str] = "a white corner"

    side: int = 2

    def poisoning(self, goal: Goal) -> Poisoning:
        trigger: Trigger = make_trigger("yellow-square", goal.image_size, self.side, (0, 0), "white")
        return Poisoning(trigger, goal.target_class, self.rate(goal))


def test_another_package_adds_an_attack() -> None:
    ATTACKS.register("test-corner")(Corner)
    made: Attack = make_attack("test-corner", side=3)
    assert isinstance(made, Corner)
    assert made.poisoning(GOAL).trigger.size == 9
