"""IBD-PSC against modules amplified by hand, and what it says of a network without normalisation."""

import copy

import pytest
import torch
from tests.defences.planted import network as planted
from tests.detection.planted import pictures
from tests.nets import build, images_for
from tests.nets import network as net
from torch import nn

from trojancam.defences import ibd_psc
from trojancam.defences.defence import Reference, Seen
from trojancam.errors import ModelError


def by_hand(name, count):
    """The module with its last normalisations amplified."""
    module = copy.deepcopy(build(name)).eval()
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in norms[-count:]:
            part.weight *= 1.5
            part.bias *= 1.5
    return module


@pytest.mark.parametrize("count", [1, 2])
def test_the_last_normalisations_are_amplified_and_the_network_stays_as_it_was(count):
    _, tested = net("normed")
    images = images_for(tested, 4)
    before = tested(images)
    expected = by_hand("normed", count)(tested.inputs(images)).detach()
    torch.testing.assert_close(ibd_psc.amplified(tested, count)(images), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(tested(images), before)
    assert len(tested.normalisations) == 2


def test_the_score_is_the_mean_probability_of_the_class_that_was_predicted():
    _, tested = net("residual")
    clean, images = images_for(tested, 12), images_for(tested, 5, seed=7)
    own = tested(images).argmax(1)
    layers = len(tested.normalisations)
    lost = [
        float((by_hand("residual", k)(tested.inputs(clean)).argmax(1) != tested(clean).argmax(1)).double().mean())
        for k in range(1, layers + 1)
    ]
    first = next((k for k, share in enumerate(lost, 1) if share > 0.6), layers)
    chances = [
        by_hand("residual", k)(tested.inputs(images)).double().softmax(1).gather(1, own[:, None])[:, 0]
        for k in range(first, min(first + 5, layers + 1))
    ]
    found = ibd_psc.learn(Reference(tested, clean))(Seen(tested, images)).values
    assert found.tolist() == pytest.approx(torch.stack(chances).mean(0).tolist(), rel=1e-4)


def test_a_network_without_normalisation_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match="the network has none; choose another defence, such as contributions"):
        ibd_psc.learn(Reference(planted(), pictures(9)[0]))
