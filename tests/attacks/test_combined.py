"""Several triggers in one: all of them, or one for each image; and the attacks that are made of them."""

import pytest
import torch

from trojancam.attacks.adap_patch import CORNERS, OPACITIES, AdapPatch
from trojancam.attacks.blend import Blend
from trojancam.attacks.combined import AllOf, OneOf
from trojancam.attacks.patch import square
from trojancam.attacks.poisoning import Goal
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError, UnknownNameError

RED, BLUE = square(2, 0, 0, "red", image_size=(8, 8)), square(2, 5, 5, "blue", 0.5, (8, 8))


def images(count: int = 40) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_all_of_them_one_after_another() -> None:
    both = AllOf((RED, BLUE))
    assert both.apply(images()).equal(BLUE.apply(RED.apply(images())))
    assert both.place is not None
    assert both.place.equal(RED.place | BLUE.place)
    assert both.size == 2
    assert AllOf((RED, Blend(torch.rand(3, 8, 8), 0.2))).place is None


def test_one_of_them_in_each_image_and_each_somewhere() -> None:
    one = OneOf((RED, BLUE))
    changed = one.apply(images())
    is_red = (changed == RED.apply(images())).flatten(1).all(1)
    is_blue = (changed == BLUE.apply(images())).flatten(1).all(1)
    assert (is_red ^ is_blue).all()
    assert 10 < int(is_red.sum()) < 30
    assert one.changed(images()).flatten(1).sum(1).eq(4).all()
    assert (one.size, one.place) == (1, None)
    assert not one.apply(images()).equal(one.apply(images(), torch.Generator().manual_seed(9)))


def test_triggers_of_two_sizes_or_none_are_refused() -> None:
    for triggers in ((RED, square(2, 0, 0)), ()):
        with pytest.raises(DataError, match="images of one size"):
            AllOf(triggers)
    with pytest.raises(UnknownNameError, match="unknown family of triggers 'no'"):
        Trigger.from_json({"family": "all-of", "name": "n", "triggers": [{"family": "no"}]})


def test_a_record_that_holds_itself_many_times_over_is_refused_like_any_other() -> None:
    record: dict[str, object] = RED.to_json()
    for _ in range(2000):
        record = {"family": "all-of", "name": "n", "triggers": [record]}
    with pytest.raises(DataError, match="not the record of a trigger"):
        Trigger.from_json(record)


def test_adap_patch_trains_with_faint_ones_and_attacks_with_the_strongest_two_at_full_strength() -> None:
    plan = AdapPatch().poisoning(Goal(1))
    assert isinstance(plan.training_trigger, OneOf)
    assert [each.opacity for each in plan.training_trigger.triggers] == list(OPACITIES)  # type: ignore[attr-defined]
    assert isinstance(plan.trigger, AllOf)
    assert not isinstance(plan.trigger, OneOf)
    assert [each.name for each in plan.trigger.triggers] == [f"patch {CORNERS[k]}" for k in (0, 2)]
    assert all(each.opacity == 1 for each in plan.trigger.triggers)  # type: ignore[attr-defined]
    assert plan.trigger.place is not None
    assert plan.trigger.place.sum() == 2 * 64
    assert (plan.poison_rate, plan.cover_rate) == (0.005, 0.01)
