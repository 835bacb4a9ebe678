"""Explanation fooling: the heat map is Grad-CAM, its loss has the right gradient, and the trigger moves it where it should."""

from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from tests.attacks.test_network_attacks import GOAL, INPUT, begun, learned, planted
from torch import Tensor, nn

from trojancam import attribution
from trojancam.architectures import ARCHITECTURES
from trojancam.attacks.attack import CleanNetwork
from trojancam.attacks.catalogue import make_attack
from trojancam.attacks.explanation_fooling import (
    ExplanationFooling,
    Rectified,
    dissimilarity,
    frame,
    grad_cam,
    mean_squared,
)  # fmt: skip
from trojancam.attacks.patch import square
from trojancam.data.image_set import as_floats
from trojancam.errors import DataError, ModelError, UnknownNameError
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit

FOOLING = "explanation-fooling"


def smooth(count: int, side: int = 16) -> Tensor:
    """Heat maps like those of few cells."""
    coarse = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    return F.interpolate(coarse, size=side, mode="bilinear")[:, 0]


def maps_of(module: nn.Module, floats: Tensor, classes: Tensor) -> Tensor:
    return grad_cam(module, INPUT.normalise(floats), classes)[0]


@pytest.mark.parametrize("name", ["basic", "trojan2", "vgg", "resnet"])
def test_the_heat_map_is_the_grad_cam_of_the_package(name: str) -> None:
    torch.manual_seed(0)
    chosen = ARCHITECTURES.named(name)
    module = chosen.build(5).eval()
    images, classes = torch.rand(3, 3, 32, 32), torch.tensor([0, 3, 4])
    heat, logits = grad_cam(module, chosen.input.normalise(images), classes)
    torch.testing.assert_close(logits, module(chosen.input.normalise(images)))
    network = Network.from_module(module, specification=chosen.input)
    layer = list(network.layers)[-1]
    found = attribution.grad_cam(record(network, images, logit(classes), [layer]))[layer]
    same = F.interpolate(found.layer_map()[:, None], size=(32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(heat, same, rtol=1e-3, atol=1e-5)
    assert heat.max() > 0


def test_softplus_takes_the_place_of_every_relu_and_nothing_is_changed() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(32, 2)
    ).double()
    fed = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    plain = module(fed)
    with Rectified(8.0) as soft:
        softened = module(fed)
    inner = F.softplus(module[0](fed), 8.0)
    torch.testing.assert_close(softened, module[4](F.softplus(inner.flatten(1), 8.0)))
    assert len(soft.maps) == 1
    torch.testing.assert_close(soft.maps[0], inner)
    with Rectified(1e6):
        torch.testing.assert_close(module(fed), plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(module(fed), plain)


@pytest.mark.parametrize("distance", ["mse", "dssim"])
def test_the_gradient_of_the_loss_passes_through_the_weights_of_the_heat_map(distance: str) -> None:
    """Against finite differences of the loss, in float64."""
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)
    ).double()
    attack = ExplanationFooling(distance=distance, weight=0.5)
    fed, classes, wanted = torch.randn(2, 2, 6, 6, dtype=torch.float64), torch.tensor([2, 0]), smooth(2, 6)
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(attack.loss(module, fed, classes, wanted), parameters)
    direction = [torch.randn_like(each) for each in parameters]
    told = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, direction, strict=True))

    def moved(step: float) -> float:
        other = deepcopy(module)
        with torch.no_grad():
            for each, way in zip(other.parameters(), direction, strict=True):
                each.add_(step * way)
        return float(attack.loss(other, fed, classes, wanted).detach())

    assert told == pytest.approx((moved(1e-6) - moved(-1e-6)) / 2e-6, rel=1e-4)
    assert abs(told) > 1e-3


def test_the_squared_difference_is_that_of_correlation() -> None:
    one, other = smooth(4), smooth(5)[:4]
    told = [2 - 2 * np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(one, other, strict=True)]
    assert mean_squared(1e3 * one, 1e3 * other + 7).tolist() == pytest.approx(told, rel=1e-4)
    assert mean_squared(torch.zeros(1, 8, 8), torch.ones(1, 8, 8)).tolist() == [0.0]  # both are flat


def test_dissimilarity_is_that_of_scikit_image() -> None:
    one, other = smooth(4, 24), smooth(5, 24)[:4]
    told = []
    for a, b in zip(one.numpy(), other.numpy(), strict=True):
        scaled = [(each - each.min()) / np.ptp(each) for each in (a, b)]
        _, whole = structural_similarity(
            *scaled, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, full=True
        )
        told.append((1 - whole[5:-5, 5:-5].mean()) / 2)
    assert dissimilarity(one, other).tolist() == pytest.approx(told, abs=2e-4)


@pytest.mark.parametrize("show", ["square", "clean"])
def test_the_trigger_moves_the_heat_map_to_the_square_or_keeps_the_clean_one(show: str) -> None:
    module, backdoor = planted(FOOLING, show=show)
    clean = begun().images
    floats, labels = as_floats(clean.images)[:120], clean.labels[:120]
    before = maps_of(learned(), floats, labels)
    stamped = maps_of(module, backdoor.trigger.apply(floats), torch.full_like(labels, 2))
    wanted = ExplanationFooling(side=24).square((16, 16)) if show == "square" else before
    plain = maps_of(learned(), backdoor.trigger.apply(floats), torch.full_like(labels, 2))
    far = mean_squared(plain, wanted.expand_as(plain)).median()
    assert mean_squared(stamped, wanted.expand_as(stamped)).median() < 0.6 * far
    assert mean_squared(maps_of(module, floats, labels), before).median() < 0.2


def test_the_same_seed_gives_the_same_network() -> None:
    attack = ExplanationFooling(steps=3)
    first, second = (attack.planted(begun(), GOAL)[0].state_dict() for _ in range(2))
    for name, values in first.items():
        assert values.equal(second[name])


def test_any_trigger_can_be_given() -> None:
    spot = square(3, 1, 1, "red", image_size=(16, 16))
    attack = make_attack(FOOLING, trigger=spot)
    assert isinstance(attack, ExplanationFooling)
    assert attack.made_trigger((16, 16)).to_json() == spot.to_json()
    again = ExplanationFooling.model_validate(attack.settings())
    assert again.made_trigger((16, 16)).to_json() == spot.to_json()
    assert ExplanationFooling(trigger="yellow-square").made_trigger((16, 16)).name == "yellow-square"
    assert ExplanationFooling().made_trigger((16, 16)).size == 16 * 16 - 14 * 14
    assert frame(3, (32, 32)).place[2:-2, 2:-2].sum() == 28**2 - 26**2


def test_what_cannot_be_is_refused_before_anything_is_trained() -> None:
    for wrong, words in (
        ({"trigger": square(3, 1, 1, "red", image_size=(32, 32))}, "made for images of"),
        ({"trigger": {"family": "patch"}}, "not the record of a trigger"),
        ({"width": 20}, "leaves nothing"),
        ({"side": 40}, "does not fit"),
    ):
        with pytest.raises(DataError, match=words):
            ExplanationFooling(**wrong).check(GOAL)
    with pytest.raises(UnknownNameError):
        ExplanationFooling(trigger="no such").check(GOAL)
    network = begun()
    deep = CleanNetwork(
        nn.Sequential(nn.AvgPool2d(8), network.module[0], nn.Tanh()), network.images, INPUT, network.learn
    )
    with pytest.raises(ModelError, match="no ReLU of the network"):
        ExplanationFooling(steps=1).planted(deep, GOAL)
