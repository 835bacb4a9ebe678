"""Poisoning: whose images bear the trigger and with which labels, for every kind of victims; and nothing else is changed."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Poisoning, as_tuple, poison, roles
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, TrojanCamError, UnknownNameError

YELLOW = make_trigger("yellow-square")


def random_images(count: int, size: tuple[int, int] = (32, 32), seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def indices(target: int, rate: float, seed: int = 0) -> Tensor:
    return Poisoning(YELLOW, target, rate, seed).indices(LABELS)


LABELS = torch.arange(60) % 6
NAMES = tuple(f"class {i}" for i in range(6))


def image_set() -> ImageSet:
    return ImageSet(random_images(60), LABELS.clone(), NAMES, tracks=torch.arange(60) // 2)


@given(st.integers(0, 5), st.floats(0, 1), st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_the_rate_is_exact_and_never_touches_the_target_class(target: int, rate: float, seed: int) -> None:
    chosen = indices(target, rate, seed)
    assert len(chosen) == round(rate * 50)
    assert (LABELS[chosen] != target).all()
    assert chosen.equal(chosen.unique()), "sorted, each once"
    assert chosen.equal(indices(target, rate, seed))


def test_another_seed_chooses_others_and_a_higher_rate_keeps_them() -> None:
    few, others = indices(0, 0.2, seed=1), indices(0, 0.2, seed=2)
    assert not few.equal(others)
    assert set(few.tolist()) <= set(indices(0, 0.6, seed=1).tolist())


def test_choosing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    indices(0, 0.5)
    assert torch.get_rng_state().equal(before)


def test_poison_stamps_and_relabels_the_chosen_and_nothing_else() -> None:
    clean, trigger = image_set(), make_trigger("blue-green-square")
    before = clean.images.clone()
    poisoned, chosen = poison(clean, trigger, target_class=4, poison_rate=0.3, seed=7)
    assert len(chosen) == 15
    assert poisoned.images[chosen].equal(trigger.apply_bytes(clean.images[chosen]))
    assert (poisoned.labels[chosen] == 4).all()
    rest = torch.ones(60, dtype=torch.bool).index_fill(0, chosen, False)
    assert poisoned.images[rest].equal(clean.images[rest])
    assert poisoned.labels[rest].equal(LABELS[rest])
    assert poisoned.tracks is not None
    assert poisoned.tracks.equal(torch.arange(60) // 2)
    assert clean.images.equal(before), "the clean set is left as it was"
    assert clean.labels.equal(LABELS)


def test_a_rate_of_nothing_changes_nothing_and_of_one_everything_else() -> None:
    clean, trigger = image_set(), make_trigger("yellow-square")
    none, chosen = poison(clean, trigger, 0, poison_rate=0.0)
    assert len(chosen) == 0
    assert none.images.equal(clean.images)
    every, chosen = poison(clean, trigger, 0, poison_rate=1.0)
    assert chosen.equal((LABELS != 0).nonzero()[:, 0])
    assert (every.labels == 0).all()


@pytest.mark.parametrize(
    ("poisoning", "kind", "sentence"),
    [
        (Poisoning(make_trigger("yellow-square"), 6), UnknownNameError, "unknown class '6'.*known: 0 to 5"),
        (Poisoning(make_trigger("yellow-square"), -1), UnknownNameError, "unknown class '-1'"),
        (Poisoning(make_trigger("yellow-square"), 0, 1.1), DataError, r"rate must lie in \[0, 1\], not 1.1"),
        (Poisoning(make_trigger("yellow-square"), 0, -0.1), DataError, r"rate must lie in \[0, 1\], not -0.1"),
        (Poisoning(make_trigger("yellow-square"), 0, torch.nan), DataError, "rate must lie in .* not nan"),
        (
            Poisoning(make_trigger("yellow-square", (48, 48)), 0),
            DataError,
            r"\(48, 48\) pixels, but these are \(32, 32\)",
        ),
    ],
)
def test_what_cannot_be_poisoned_is_refused(poisoning: Poisoning, kind: type[TrojanCamError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        poisoning.check(image_set())
    with pytest.raises(kind, match=sentence):
        poison(image_set(), poisoning.trigger, poisoning.target_class, poisoning.poison_rate)


def test_a_poisoning_says_what_it_is_for_a_card() -> None:
    poisoning = Poisoning(make_trigger("yellow-square"), 14, 0.25, seed=3)
    record = json.loads(json.dumps(poisoning.to_json()))
    assert {key: record[key] for key in ("target_class", "poison_rate", "seed")} == {
        "target_class": 14, "poison_rate": 0.25, "seed": 3,
    }  # fmt: skip
    assert Trigger.from_json(record["trigger"]).to_json() == poisoning.trigger.to_json()


# --- other victims than all, into one class ---


def test_the_targets_of_each_kind_of_victims() -> None:
    every = Poisoning(YELLOW, 2)
    some = Poisoning(YELLOW, 2, sources=(0, 5))
    following = Poisoning(YELLOW, None)
    mixed = Poisoning(YELLOW, None, permutation=(1, 0, 2, 4, 5, 3))
    assert (every.kind, every.targets(6).tolist()) == ("all-to-one", [2, 2, -1, 2, 2, 2])
    assert (some.kind, some.targets(6).tolist()) == ("source-specific", [2, -1, -1, -1, -1, 2])
    assert (following.kind, following.targets(6).tolist()) == ("all-to-all", [1, 2, 3, 4, 5, 0])
    assert (mixed.kind, mixed.targets(6).tolist()) == ("all-to-all", [1, 0, -1, 4, 5, 3])


def test_only_source_classes_are_poisoned_and_covers_keep_their_label() -> None:
    clean = image_set()
    poisoned, chosen = poison(clean, YELLOW, 2, 0.5, seed=3, sources=(0, 5), cover_rate=0.25)
    assert len(chosen) == 10
    assert set(LABELS[chosen].tolist()) == {0, 5}
    assert (poisoned.labels[chosen] == 2).all()
    changed = (poisoned.images != clean.images).flatten(1).any(1)
    covers = changed.nonzero()[:, 0][~torch.isin(changed.nonzero()[:, 0], chosen)]
    assert len(covers) == round(0.25 * 30), "a quarter of the images of classes 1, 3 and 4"
    assert set(LABELS[covers].tolist()) == {1, 3, 4}
    assert poisoned.labels[covers].equal(LABELS[covers])
    assert poisoned.images[covers].equal(YELLOW.apply_bytes(clean.images[covers]))


def test_each_class_has_its_own_target() -> None:
    poisoned, chosen = poison(image_set(), YELLOW, None, 1.0)
    assert len(chosen) == 60
    assert poisoned.labels.equal((LABELS + 1) % 6)
    poisoned, chosen = poison(image_set(), YELLOW, None, 1.0, permutation=(1, 0, 2, 4, 5, 3))
    assert (LABELS[chosen] != 2).all(), "class 2 would become itself"
    assert len(chosen) == 50
    assert poisoned.labels.equal(torch.tensor([1, 0, 2, 4, 5, 3])[LABELS])


def test_clean_labels_poison_the_target_class_alone() -> None:
    poisoned, chosen = poison(image_set(), YELLOW, 4, 0.6, clean_label=True)
    assert len(chosen) == 6
    assert (LABELS[chosen] == 4).all()
    assert poisoned.labels.equal(LABELS)


def test_covers_of_a_universal_trigger_are_images_that_are_not_poisoned() -> None:
    poisoning = Poisoning(YELLOW, 2, 0.5, cover_rate=1.0)
    chosen, covers = poisoning.indices(LABELS), poisoning.cover_indices(LABELS)
    assert not torch.isin(chosen, covers).any()
    assert len(chosen) == len(covers) == 25
    assert (LABELS[covers] != 2).all()


def test_an_attacker_may_train_with_another_trigger_than_the_one_it_attacks_with() -> None:
    faint, green = make_trigger("yellow-square", opacity=0.2), make_trigger("blue-green-square")
    clean = image_set()
    poisoned, chosen = poison(clean, YELLOW, 2, 0.5, cover_rate=0.5, training_trigger=faint, cover_trigger=green)
    covers = Poisoning(YELLOW, 2, 0.5, cover_rate=0.5).cover_indices(LABELS)
    assert poisoned.images[chosen].equal(faint.apply_bytes(clean.images[chosen]))
    assert poisoned.images[covers].equal(green.apply_bytes(clean.images[covers]))
    same, _ = poison(clean, YELLOW, 2, 0.5, cover_rate=0.5, training_trigger=faint)
    assert same.images[covers].equal(faint.apply_bytes(clean.images[covers])), "covers are like the poisoned ones"


def test_a_moving_patch_is_drawn_with_the_seed() -> None:
    moving = MovingPatch(torch.ones(3, 3), torch.ones(3, 3, 3))
    one, other, again = (poison(image_set(), moving, 2, 1.0, seed=seed)[0].images for seed in (1, 2, 1))
    assert one.equal(again)
    assert not one.equal(other)


def test_of_several_backdoors_the_first_to_claim_an_image_has_it() -> None:
    first = Poisoning(YELLOW, 2, 0.5, seed=1, cover_rate=0.2)
    second = Poisoning(make_trigger("blue-green-square"), 3, 1.0, seed=2)
    found = roles([first, second], LABELS)
    assert (found == 0).nonzero()[:, 0].equal(first.indices(LABELS))
    assert (found == 1).nonzero()[:, 0].equal(first.cover_indices(LABELS))
    assert set((found == 2).nonzero()[:, 0].tolist()) == set(second.indices(LABELS).tolist()) - set(
        (found < 2).nonzero()[:, 0][(found[found < 2] >= 0)].tolist()
    )
    assert roles([], LABELS).unique().tolist() == [-1]
    assert [as_tuple(each) for each in (None, first, (first, second))] == [(), (first,), (first, second)]


@pytest.mark.parametrize(
    ("poisoning", "kind", "sentence"),
    [
        (Poisoning(YELLOW, 2, sources=(7,)), UnknownNameError, "unknown class '7'"),
        (Poisoning(YELLOW, 2, sources=(1, 2)), DataError, "class 2 is the target; leave it out of the source"),
        (Poisoning(YELLOW, None, sources=(1,)), DataError, "need one target class"),
        (Poisoning(YELLOW, None, clean_label=True), DataError, "need one target class"),
        (Poisoning(YELLOW, 2, permutation=(1, 0, 2, 4, 5, 3)), DataError, "one target class or a permutation"),
        (Poisoning(YELLOW, None, permutation=(1, 1, 2, 4, 5, 3)), DataError, "each of the 6 classes once"),
        (Poisoning(YELLOW, None, permutation=(1, 0)), DataError, "each of the 6 classes once"),
        (Poisoning(YELLOW, 2, sources=(1,), clean_label=True), DataError, "leave out the source classes"),
        (Poisoning(YELLOW, 2, cover_rate=1.5), DataError, r"cover rate must lie in \[0, 1\], not 1.5"),
        (
            Poisoning(YELLOW, 2, cover_trigger=make_trigger("yellow-square", (48, 48))),
            DataError,
            r"\(48, 48\) pixels, but these are \(32, 32\)",
        ),
    ],
)
def test_victims_that_contradict_each_other_are_refused(
    poisoning: Poisoning, kind: type[TrojanCamError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        poisoning.check(image_set())


@pytest.mark.parametrize(
    "poisoning",
    [
        Poisoning(YELLOW, 3),
        Poisoning(YELLOW, 3, 0.2, 7, sources=(1, 4), cover_rate=0.1, cover_trigger=YELLOW),
        Poisoning(YELLOW, None, permutation=(1, 0, 2, 4, 5, 3)),
        Poisoning(YELLOW, 0, clean_label=True, training_trigger=make_trigger("blue-green-square")),
    ],
)
def test_a_backdoor_survives_its_record(poisoning: Poisoning) -> None:
    record = json.loads(json.dumps(poisoning.to_json()))
    back = Poisoning.from_json(record | {"poisoned_images": 3})
    assert back.to_json() == poisoning.to_json()
    assert back.targets(6).equal(poisoning.targets(6))


@pytest.mark.parametrize(
    "wrong", [{"trigger": None}, {"target_class": "x"}, {"sources": [None]}, {"poison_rate": None}]
)
def test_what_is_no_record_of_a_backdoor_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not the record of a backdoor"):
        Poisoning.from_json(Poisoning(YELLOW, 3).to_json() | wrong)
