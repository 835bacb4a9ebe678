"""A guard answers what network and sieve say, whichever batch an image comes in, and from several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.defences.planted import network, trigger_mask, triggered
from tests.detection.planted import TARGET, pictures

from trojancam.defences import Guard, learned
from trojancam.errors import DataError

CLEAN = pictures(42)[0]


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(network(), CLEAN, false_alarms=0.06)


def test_it_says_class_suspicion_and_place(guard):
    answer = guard(triggered(5))
    assert answer.classes.tolist() == [TARGET] * 5
    assert torch.equal(answer.logits, network()(triggered(5)))
    assert answer.suspicious.all()
    assert (answer.p_values <= 0.06).all()
    hottest = answer.places.flatten(1).argmax(1)
    assert trigger_mask().flatten()[hottest].all()


def test_it_is_the_sieve(guard):
    images = torch.cat([triggered(2), pictures(3, seed=8)[0]])
    found = learned(network(), CLEAN, false_alarms=0.06)(images)
    assert torch.equal(guard(images).p_values, next(iter(found.by_method.values())).p_values)


def test_threads_do_not_disturb_each_other(guard):
    images = torch.cat([triggered(4), pictures(4, seed=8)[0]])
    whole = guard(images)
    with ThreadPoolExecutor(4) as pool:
        each = list(pool.map(lambda image: guard(image[None]), images))
    assert [int(one.classes) for one in each] == whole.classes.tolist()
    assert torch.cat([one.p_values for one in each]).tolist() == pytest.approx(whole.p_values.tolist())


def test_images_that_the_network_cannot_take_are_refused(guard):
    with pytest.raises(DataError, match="12"):
        guard(torch.rand(1, 3, 8, 8))
    assert repr(guard) == "Guard(contributions, 0.06 false alarms)"
