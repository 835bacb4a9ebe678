"""Cleaning fills the smallest region that changes the class, and leaves all else as it was."""

import pytest
import torch
from tests.defences.planted import network, trigger_mask, triggered
from tests.detection.planted import TARGET, pictures
from tests.nets import unchecked

from trojancam.defences.cleaning import SHARES, cleaned, region
from trojancam.errors import DataError
from trojancam.evaluation.imputation import imputed


def test_a_triggered_image_gets_its_class_back_where_the_place_is_known():
    images, labels = pictures(40, seed=5)
    others = labels != TARGET
    bad, own = triggered(18), labels[others][:18]
    clean_answers = network()(images[others][:18]).argmax(1)
    found = cleaned(network(), bad, trigger_mask().float().expand(18, -1, -1))
    assert found.before.tolist() == [TARGET] * 18
    assert torch.equal(clean_answers, own)
    assert float((found.after == own).float().mean()) >= 0.9  # the region may cover a part of what tells the class


def test_all_squares_that_change_the_class_vote_and_the_smallest_that_agrees_is_filled():
    bad = triggered(4)
    places = torch.rand(4, 12, 12, generator=torch.Generator().manual_seed(0)) + 2 * trigger_mask()
    found = cleaned(network(), bad, places)
    for number, image in enumerate(bad):
        masks = [region(places[number : number + 1], share) for share in SHARES]
        filled = [imputed(image[None], mask) for mask in masks]
        chances = [network()(each).double().softmax(1)[0] for each in filled]
        turned = [each for each in chances if int(each.argmax()) != TARGET]
        assert turned
        possible = {int(each.argmax()) for each in turned}
        winner = max(possible, key=lambda name: sum(float(each[name]) for each in turned))
        first = next(place for place, each in enumerate(chances) if int(each.argmax()) == winner)
        assert int(found.after[number]) == winner
        assert torch.equal(found.masks[number], masks[first][0])
        assert torch.equal(found.images[number], filled[first][0])


@pytest.mark.parametrize("share", [0.01, 0.06, 0.2])
def test_a_region_is_the_square_with_the_greatest_sum(share):
    places = torch.rand(3, 10, 14, generator=torch.Generator().manual_seed(1)).square()
    side = max(1, round((share * 140) ** 0.5))
    for mask, place in zip(region(places, share), places, strict=True):
        sums = {
            (row, column): float(place[row : row + side, column : column + side].sum())
            for row in range(11 - side)
            for column in range(15 - side)
        }
        row, column = max(sums, key=sums.__getitem__)
        expected = torch.zeros(10, 14, dtype=torch.bool)
        expected[row : row + side, column : column + side] = True
        assert torch.equal(mask, expected)


def test_what_lies_outside_the_region_stays_and_so_does_an_image_that_nothing_changes():
    images = torch.cat([triggered(2), pictures(3, seed=3)[0]])
    far = torch.zeros(5, 12, 12)
    far[:2] = trigger_mask().float()
    far[2:, 11, 0] = 1.0  # a corner
    found = cleaned(network(), images, far)
    outside = ~found.masks[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(found.images[outside], images[outside])
    assert found.changed.tolist() == [True] * 2 + [False] * 3
    assert not found.masks[2:].any()
    assert torch.equal(found.images[2:], images[2:])


def test_a_blank_map_has_no_region_and_one_that_is_all_alike_leaves_the_image():
    images = triggered(2)
    assert not cleaned(network(), images, torch.zeros(2, 12, 12)).masks.any()
    assert not cleaned(network(), images, torch.ones(2, 12, 12)).masks.any()


def test_batches_do_not_matter():
    images, places = triggered(5), torch.rand(5, 12, 12, generator=torch.Generator().manual_seed(1))
    whole, single = cleaned(network(), images, places), cleaned(network(), images, places, memory_budget=1)
    assert torch.equal(whole.images, single.images)
    assert torch.equal(whole.after, single.after)


def test_maps_of_another_size_and_shares_that_are_none_are_refused():
    with unchecked(), pytest.raises(DataError, match="2 images of 12x12 pixels need as many maps of that size"):
        cleaned(network(), triggered(2), torch.ones(3, 12, 12))
    for shares in ((), (0.0,), (1.0,)):
        with pytest.raises(DataError, match="lie between 0 and 1"):
            cleaned(network(), triggered(1), torch.ones(1, 12, 12), shares)
