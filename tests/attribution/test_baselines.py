"""Baselines: gradients of pixels and cells by hand, and maps that know nothing."""

import copy
import math

import pytest
import torch
from tests.attribution.tiny import CLOSE, IMAGE, tiny
from tests.nets import images_for, network
from torch import nn

from trojancam.attribution import INPUT, Attribution, attribute, baselines
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.placement import Axis, Placement, stretched
from trojancam.network.targets import logit


def only(method: str, net: Network | None = None, images: torch.Tensor = IMAGE) -> Attribution:
    (found,) = attribute(net or tiny(), images, [method], logit(0))[method].values()
    return found


def test_gradient_x_activation_by_hand() -> None:
    """C_1 + C_2 = [1, 1; 0, 1.5] + [-1, -.5; 0, 0]."""
    torch.testing.assert_close(only("gradient-x-activation").layer_map(), torch.tensor([[[0, 0.5], [0, 1.5]]]))


def test_saliency_by_hand() -> None:
    """dy/dred = g^1 where red > 0; dy/dgreen = -2 g^2 where green < 1/2; the greater size of both."""
    found = only("saliency")
    torch.testing.assert_close(found.heatmap(), torch.tensor([[[2.0, 2], [0, 6]]]), **CLOSE)
    assert (found.layer, found.image_size, found.placement) == (INPUT, (2, 2), Placement())


def test_saliency_is_per_pixel_in_0_to_1_whatever_the_normalisation() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(8, 2))
    plain = Network.from_module(module, (2, 2))
    scaled = Network.from_module(
        module, specification=InputSpecification(size=(2, 2), mean=(0.0, 0.0, 0.0), std=(0.5, 0.5, 0.5))
    )
    torch.testing.assert_close(only("saliency", scaled).map, 2 * only("saliency", plain).map, **CLOSE)


def test_saliency_equals_autograd_in_double_precision() -> None:
    module, net = network("residual")
    images = images_for(net, 3)
    pixels = images.double().requires_grad_()
    copy.deepcopy(module).double()(pixels)[:, 0].sum().backward()
    assert pixels.grad is not None
    expected = pixels.grad.abs().amax(1)
    torch.testing.assert_close(only("saliency", net, images).map.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_random_map_is_the_seeds_own_and_each_layers() -> None:
    _, net = network("residual")
    images = images_for(net, 2)
    one, same, other = (attribute(net, images, ["random"], seed=seed)["random"] for seed in (1, 1, 2))
    layers = list(net.layers)
    for layer in layers:
        assert one[layer].map.equal(same[layer].map)
        assert not one[layer].map.equal(other[layer].map)
        assert one[layer].map.shape == (2, *net.layer(layer).size)
        assert one[layer].map.min() >= 0
        assert one[layer].map.max() <= 1
    assert not one["2.conv1"].map.equal(one["2.conv2"].map), "of the same size, but another layer"
    assert not one["0"].map[0].equal(one["0"].map[1]), "and another image"


def test_a_random_map_is_even_noise() -> None:
    values = baselines.random_map(4, (100, 100), baselines.draws_of("conv", 0, torch.device("cpu")))
    assert float(values.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(values.var()) == pytest.approx(1 / 12, abs=0.005)


def test_the_centre_map_by_hand() -> None:
    """Centres of 2x2 cells of a 4x4 image lie half-way from the centre to a corner's edges: distance 1/2 of a corner's."""
    assert baselines.centre_map(1, (2, 2), stretched((2, 2), (4, 4)), (4, 4))[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    centre = baselines.centre_map(2, (3, 3), stretched((3, 3), (9, 9)), (9, 9))
    expected = [1 - math.sqrt(8 / 9) / math.sqrt(2), 1 - (2 / 3) / math.sqrt(2), 1.0]
    torch.testing.assert_close(centre[1].flatten()[[0, 1, 4]], torch.tensor(expected))


def test_the_centre_map_follows_the_placement() -> None:
    """A cell is as hot as the place it looks at: here the first looks at the centre, the others further down."""
    placement = Placement(Axis(4.0, 7.5), Axis(1.0, 7.5))
    found = baselines.centre_map(1, (3, 1), placement, (16, 16))[0, :, 0]
    torch.testing.assert_close(found, 1 - torch.tensor([0.0, 0.5, 1.0]) / math.sqrt(2))
