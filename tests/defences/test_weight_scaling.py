"""Weight scaling against modules amplified by hand, beside IBD-PSC where both can be had, and what it refuses."""

import copy

import pytest
import torch
from tests.nets import build, images_for
from tests.nets import network as net
from torch import nn

from trojancam.defences import Reference, Seen, ibd_psc, weight_scaling
from trojancam.errors import ModelError
from trojancam.network.network import Network


def by_hand(name, count, factor=1.5):
    """The module with its last layers but the very last one amplified."""
    module = copy.deepcopy(build(name)).eval()
    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)][:-1]
    with torch.no_grad():
        for part in layers[-count:]:
            part.weight *= factor
            if part.bias is not None:
                part.bias *= factor
    return module


@pytest.mark.parametrize(("name", "count", "factor"), [("plain", 1, 1.5), ("plain", 2, 1.5), ("depthwise", 2, 2.25)])
def test_the_last_layers_before_the_logits_are_amplified_and_the_network_stays_as_it_was(name, count, factor):
    _, tested = net(name)
    images = images_for(tested, 4)
    before = tested(images)
    expected = by_hand(name, count, factor)(tested.inputs(images).contiguous()).detach()
    torch.testing.assert_close(weight_scaling.amplified(tested, count, factor)(images), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(tested(images), before)


def lost(name, tested, clean, count, factor):
    changed = by_hand(name, count, factor)(tested.inputs(clean).contiguous()).argmax(1)
    return float((changed != tested(clean).argmax(1)).double().mean()) > 0.6


@pytest.mark.parametrize("name", ["plain", "depthwise", "residual"])
def test_the_score_is_the_mean_probability_of_the_class_that_was_predicted(name):
    _, tested = net(name)
    clean, images = images_for(tested, 12), images_for(tested, 5, seed=7)
    own, layers = tested(images).argmax(1), len(weight_scaling.layers_with_weights(tested))
    factors = [1.5**power for power in range(1, weight_scaling.POWERS + 1)]
    factor = next((each for each in factors[:-1] if lost(name, tested, clean, layers, each)), factors[-1])
    first = next((k for k in range(1, layers) if lost(name, tested, clean, k, factor)), layers)
    chances = [
        by_hand(name, k, factor)(tested.inputs(images).contiguous()).double().softmax(1).gather(1, own[:, None])[:, 0]
        for k in range(first, min(first + 5, layers + 1))
    ]
    found = weight_scaling.learn(Reference(tested, clean))(Seen(tested, images)).values
    assert found.tolist() == pytest.approx(torch.stack(chances).mean(0).tolist(), rel=1e-4)


class Folded(nn.Module):
    """A convolution with its normalisation folded into it: amplifying one is amplifying the other."""

    def __init__(self, conv, norm):
        super().__init__()
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.weight.data = (conv.weight * scale[:, None, None, None]).detach()
        self.conv.bias.data = (norm.bias + (conv.bias - norm.running_mean) * scale).detach()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(self.conv(x).relu().mean((2, 3)))


def test_of_a_folded_normalisation_it_is_ibd_psc():
    torch.manual_seed(3)
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.bias)
    folded = Folded(conv, norm)
    whole = nn.Sequential(conv, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), folded.linear).eval()
    one, other = (Network.from_module(each, (8, 8)) for each in (folded, whole))
    images = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(
        weight_scaling.amplified(one, 1)(images), ibd_psc.amplified(other, 1)(images), rtol=1e-4, atol=1e-5
    )


def test_a_network_of_one_layer_is_refused_in_a_sentence():
    single = nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten())
    with pytest.raises(ModelError, match="the network has none with weights; choose another defence"):
        weight_scaling.learn(Reference(Network.from_module(single, (8, 8)), torch.rand(3, 3, 8, 8)))
