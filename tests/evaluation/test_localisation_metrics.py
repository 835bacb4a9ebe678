"""Pointing game, ROC-AUC and IoU against a mask: by hand, by counting pairs, by listing all draws; and chance."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.nets import unchecked
from torch import Tensor

from trojancam.errors import DataError
from trojancam.evaluation.localisation import (
    chance_iou,
    energy_in_mask,
    localisation,
    pointing_game,
    roc_auc,
    top_pixels_iou,
)

seeds = st.integers(0, 10_000)
SIZE = (3, 4)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def maps_and_mask(seed: int, levels: int) -> tuple[Tensor, Tensor]:
    """Maps of few values, some of them negative, so that many pixels are tied, and a mask of 1 to 11 pixels."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(-1, levels, (6, *SIZE), generator=generator).float()
    inside = int(torch.randint(1, 12, (), generator=generator))
    mask = torch.zeros(12, dtype=torch.bool)
    mask[torch.randperm(12, generator=generator)[:inside]] = True
    return maps, mask.view(SIZE)


def pairs_won(map_of_one: Tensor, mask: Tensor) -> float:
    inside, outside = map_of_one[mask].tolist(), map_of_one[~mask].tolist()
    won = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    return won / (len(inside) * len(outside))


def mean_over_all_choices(map_of_one: Tensor, mask: Tensor) -> float:
    """The mean IoU over every choice of |m| pixels, none of which is smaller than a pixel left out."""
    values, wanted = map_of_one.flatten().tolist(), set(mask.flatten().nonzero()[:, 0].tolist())
    found = []
    for chosen in map(set, combinations(range(len(values)), len(wanted))):
        left = set(range(len(values))) - chosen
        if min(values[i] for i in chosen) >= max(values[i] for i in left):
            found.append(len(chosen & wanted) / len(chosen | wanted))
    return float(np.mean(found))


@given(seeds, st.sampled_from([1, 3, 100]))
def test_roc_auc_is_the_share_of_pairs_won(seed: int, levels: int) -> None:
    maps, mask = maps_and_mask(seed, levels)
    expected = torch.tensor([pairs_won(one, mask) for one in maps])
    torch.testing.assert_close(roc_auc(maps, mask), expected)
    torch.testing.assert_close(roc_auc(maps, ~mask), 1 - expected)
    torch.testing.assert_close(roc_auc(-maps, mask), 1 - expected)


@given(seeds, st.sampled_from([0, 1, 3, 100]))
def test_iou_is_the_mean_over_all_choices_among_tied_pixels(seed: int, levels: int) -> None:
    maps, mask = maps_and_mask(seed, levels)
    expected = torch.tensor([mean_over_all_choices(one, mask) for one in maps])
    torch.testing.assert_close(top_pixels_iou(maps, mask), expected)


@given(seeds)
def test_the_pointing_game_without_ties(seed: int) -> None:
    maps, (_, mask) = random(5, *SIZE, seed=seed), maps_and_mask(seed, 2)
    expected = [float(mask.flatten()[one.argmax()]) for one in maps]
    assert pointing_game(maps, mask).tolist() == expected


def test_the_pointing_game_shares_out_ties_and_knows_blank_maps() -> None:
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[0, :2] = True
    maps = torch.zeros(4, *SIZE)
    maps[0, 0, :] = 2  # two of four in the mask
    maps[1, 0, :2] = 1  # all of them
    maps[2, 2, 1:] = 1  # none
    assert pointing_game(maps[:3], mask).tolist() == [0.5, 1, 0]
    assert pointing_game(maps[3:], mask).isnan().all()
    assert pointing_game(maps[3:] + 7, mask).isnan().all()
    assert pointing_game(maps[2:3], mask, tolerance=(2, 0)).tolist() == [pytest.approx(1 / 3)]
    assert pointing_game(maps[2:3], mask, tolerance=(2, 2)).tolist() == [1]


def test_a_perfect_map_and_its_opposite() -> None:
    _, mask = maps_and_mask(3, 2)
    found = localisation(torch.stack([mask.float(), (~mask).float()]), mask)
    for values in (found.energy, found.pointing, found.auc):
        assert values.tolist() == [1, 0]
    inside = int(mask.sum())
    least = max(0, 2 * inside - 12)
    assert found.iou.tolist() == [1, pytest.approx(least / (2 * inside - least))]


def test_a_map_of_one_value_gets_the_chance_level() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[2:6, 26:30] = True
    found = localisation(torch.full((2, 32, 32), 0.7), mask, tolerance=(2, 3))
    assert found.energy.tolist() == pytest.approx([found.chance.energy] * 2)
    assert found.auc.tolist() == [found.chance.auc] * 2 == [0.5, 0.5]
    assert found.iou.tolist() == pytest.approx([found.chance.iou] * 2)
    assert found.chance.energy == 16 / 1024
    assert found.chance.pointing == 8 * 9 / 1024  # the mask ends two columns before the image does


def test_chance_is_what_random_maps_get() -> None:
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[1:4, 2:7] = True
    found = localisation(random(4000, 8, 8), mask, tolerance=(1, 0))
    for metric in ("energy", "pointing", "auc", "iou"):
        values = getattr(found, metric)
        assert float(values.mean()) == pytest.approx(
            getattr(found.chance, metric), abs=4 * float(values.std()) / 4000**0.5
        ), metric


@pytest.mark.parametrize(("inside", "pixels"), [(1, 2), (1, 9), (3, 7), (5, 8), (7, 8)])
def test_chance_iou_is_the_mean_over_all_draws(inside: int, pixels: int) -> None:
    shared = [len(set(chosen) & set(range(inside))) for chosen in combinations(range(pixels), inside)]
    assert chance_iou(inside, pixels) == pytest.approx(np.mean([j / (2 * inside - j) for j in shared]), rel=1e-9)


def test_chance_iou_of_a_large_image_is_not_lost_in_rounding() -> None:
    """Of 50,176 pixels, half: J hardly varies around a quarter of them, so the IoU is close to 1/3."""
    assert chance_iou(25_088, 50_176) == pytest.approx(1 / 3, abs=1e-4)


def test_layers_and_single_feature_maps_go_through_at_once() -> None:
    maps, mask = random(3, 5, 8, 9) - 0.4, random(8, 9, seed=1) < 0.2
    found = localisation(maps, mask, tolerance=(1, 1))
    for metric in ("energy", "pointing", "auc", "iou"):
        whole = getattr(found, metric)
        assert whole.shape == (3, 5)
        assert whole.dtype == torch.float32
        single = [[getattr(localisation(one, mask, (1, 1)), metric) for one in row] for row in maps]
        torch.testing.assert_close(whole, torch.tensor(single))
    assert torch.equal(found.energy, energy_in_mask(maps, mask))
    assert localisation(maps[0, 0], mask).auc.shape == ()
    assert localisation(maps[:0], mask).iou.shape == (0, 5)


def test_more_maps_than_are_held_at_once_and_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, (_, mask) = random(50, *SIZE), maps_and_mask(1, 2)
    expected = localisation(maps.double(), mask)
    monkeypatch.setattr("trojancam.evaluation.localisation.MAPS_AT_ONCE", 7)
    found = localisation(maps, mask)
    torch.testing.assert_close((found.auc, found.iou), (expected.auc.float(), expected.iou.float()))


def test_values_closer_than_single_precision_tells_apart_are_told_apart() -> None:
    maps = 1 + torch.tensor([[0.0, 1e-12, 2e-12]], dtype=torch.float64)
    mask = torch.tensor([[False, False, True]])
    assert float(roc_auc(maps, mask)) == float(top_pixels_iou(maps, mask)) == 1


@pytest.mark.parametrize("metric", [localisation, pointing_game, roc_auc, top_pixels_iou])
def test_what_cannot_be_judged_is_refused(metric: object) -> None:
    assert callable(metric)
    maps, mask = random(2, *SIZE), torch.eye(3, 4, dtype=torch.bool)
    with pytest.raises(DataError, match="the mask is empty"):
        metric(maps, mask & False)
    with pytest.raises(DataError, match="the mask covers the whole image"):
        metric(maps, mask | True)
    for value in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="not finite"):
            metric(torch.where(mask, value, maps), mask)
    with unchecked(), pytest.raises(DataError, match=r"of \(3, 4\) pixels, but the mask of \(5, 5\)"):
        metric(maps, torch.eye(5, dtype=torch.bool))
