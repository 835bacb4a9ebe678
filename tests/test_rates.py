"""Rates: against counts made by hand, and against counting one image at a time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trojancam.rates import attack_success_rate, clean_accuracy, fidelity, leak_rate, robust_accuracy

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
PREDICTIONS = torch.tensor([0, 2, 1, 2, 2, 2, 0, 2])  # 4 right; of the 5 images of other classes 3 are given class 2

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30)


def test_rates_counted_by_hand() -> None:
    assert clean_accuracy(PREDICTIONS, LABELS) == 4 / 8
    assert attack_success_rate(PREDICTIONS, LABELS, 2) == pytest.approx(3 / 5)
    assert robust_accuracy(PREDICTIONS, LABELS, 2) == pytest.approx(2 / 5)


@given(pairs, st.integers(0, 4))
def test_rates_equal_counting_one_image_at_a_time(rows: list[tuple[int, int]], target: int) -> None:
    predictions = torch.tensor([row[0] for row in rows], dtype=torch.int64)
    labels = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    others = [(guess, label) for guess, label in rows if label != target]
    expected = {
        "clean": sum(guess == label for guess, label in rows) / len(rows) if rows else math.nan,
        "attack": sum(guess == target for guess, _ in others) / len(others) if others else math.nan,
        "robust": sum(guess == label for guess, label in others) / len(others) if others else math.nan,
    }
    assert clean_accuracy(predictions, labels) == pytest.approx(expected["clean"], nan_ok=True)
    assert attack_success_rate(predictions, labels, target) == pytest.approx(expected["attack"], nan_ok=True)
    assert robust_accuracy(predictions, labels, target) == pytest.approx(expected["robust"], nan_ok=True)


def test_images_of_the_target_class_count_neither_for_nor_against_an_attack() -> None:
    before = attack_success_rate(PREDICTIONS, LABELS, 2), robust_accuracy(PREDICTIONS, LABELS, 2)
    flipped = PREDICTIONS.masked_fill(LABELS == 2, 1)
    assert (attack_success_rate(flipped, LABELS, 2), robust_accuracy(flipped, LABELS, 2)) == before


def test_no_image_that_counts_gives_nan_and_no_warning() -> None:
    none = torch.empty(0, dtype=torch.int64)
    only_target = torch.tensor([2, 2])
    assert math.isnan(clean_accuracy(none, none))
    assert math.isnan(attack_success_rate(only_target, only_target, 2))
    assert math.isnan(robust_accuracy(only_target, only_target, 2))


NOBODY = -1
mappings = st.lists(st.integers(-1, 4), min_size=5, max_size=5)


@given(pairs, mappings)
def test_rates_of_other_victims_equal_counting_one_image_at_a_time(
    rows: list[tuple[int, int]], mapping: list[int]
) -> None:
    predictions = torch.tensor([row[0] for row in rows], dtype=torch.int64)
    labels = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    targets = torch.tensor(mapping)
    victims = [(guess, label) for guess, label in rows if mapping[label] not in (NOBODY, label)]
    named = {target for target in mapping if target != NOBODY}
    left_alone = [(g, label) for g, label in rows if mapping[label] in (NOBODY, label) and label not in named]
    expected = {
        "attack": sum(guess == mapping[label] for guess, label in victims) / len(victims) if victims else math.nan,
        "robust": sum(guess == label for guess, label in victims) / len(victims) if victims else math.nan,
        "leak": sum(guess in named for guess, _ in left_alone) / len(left_alone) if left_alone else math.nan,
    }
    assert attack_success_rate(predictions, labels, targets) == pytest.approx(expected["attack"], nan_ok=True)
    assert robust_accuracy(predictions, labels, targets) == pytest.approx(expected["robust"], nan_ok=True)
    assert leak_rate(predictions, labels, targets) == pytest.approx(expected["leak"], nan_ok=True)


def test_one_target_for_all_is_the_mapping_that_leaves_out_its_own_class() -> None:
    mapping = torch.tensor([2, 2, NOBODY, 2])
    assert attack_success_rate(PREDICTIONS, LABELS, mapping) == attack_success_rate(PREDICTIONS, LABELS, 2)
    assert robust_accuracy(PREDICTIONS, LABELS, mapping) == robust_accuracy(PREDICTIONS, LABELS, 2)
    assert math.isnan(leak_rate(PREDICTIONS, LABELS, mapping))
    assert math.isnan(leak_rate(PREDICTIONS, LABELS, 2))


def test_fidelity_is_what_was_removed_times_what_was_kept() -> None:
    assert fidelity(0.9, 0.9, 0.8, 0.0) == 1.0
    assert fidelity(0.9, 0.9, 0.8, 0.8) == 0.0
    assert fidelity(0.8, 0.6, 0.9, 0.3) == pytest.approx(2 / 3 * 3 / 4)
    assert fidelity(0.8, 0.6) == pytest.approx(3 / 4)
    assert fidelity(0.9, 0.9, 0.4, 0.8) == -1.0
    assert math.isnan(fidelity(0.0, 0.0, 0.9, 0.0))
