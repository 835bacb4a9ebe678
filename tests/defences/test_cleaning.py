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


def test_it_is_the_smallest_region_that_changes_the_class():
    bad = triggered(2)
    places = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0)) + 2 * trigger_mask()
    found = cleaned(network(), bad, places)
    for number, image in enumerate(bad):
        for share in SHARES:
            mask = region(places[number : number + 1], share)
            filled = imputed(image[None], mask)
            if int(network()(filled).argmax()) != TARGET:
                assert torch.equal(found.masks[number], mask[0])
                assert torch.equal(found.images[number], filled[0])
                break
        else:
            pytest.fail("no region changes the class")


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
