"""Insertion and deletion curves: by hand on a network that reads the mean colour, exact counts, and backgrounds."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from tests.nets import images, network, random_maps, unchecked
from torch import Tensor, nn

from trojancam.errors import DataError, UnknownNameError
from trojancam.evaluation.perturbation_curves import (
    PerturbationCurve,
    blurred,
    colour,
    deletion,
    insertion,
    mean_colour,
)
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.targets import logit, probability

CURVES: list[Callable[..., PerturbationCurve]] = [deletion, insertion]


def reads_the_mean(mean: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Network:
    """Logit 0 is the sum of all pixels over 144, as the network is fed them; logit 1 is 0.1."""
    module = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.Flatten(), nn.Linear(144, 2))
    with torch.no_grad():
        module[0].weight.fill_(1 / 3)
        module[2].weight.copy_(torch.stack([torch.full((144,), 1 / 144), torch.zeros(144)]))
        module[2].bias.copy_(torch.tensor([0.0, 0.1]))
    return Network.from_module(module, specification=InputSpecification(size=(12, 12), mean=mean))


def bright(places: int) -> tuple[Tensor, Tensor]:
    """A black image whose first rows are white, and the map that shows them."""
    map_of_it = torch.zeros(144)
    map_of_it[:places] = 1
    return map_of_it.view(1, 1, 12, 12).expand(1, 3, 12, 12), map_of_it.view(1, 12, 12)


def test_deletion_and_insertion_by_hand() -> None:
    image, found = bright(72)
    falls = deletion(reads_the_mean(), image, found, logit(0), steps=4)
    torch.testing.assert_close(falls.scores, torch.tensor([[0.5, 0.25, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(falls.auc, torch.tensor([(0.5 / 2 + 0.25) / 4]))
    rises = insertion(reads_the_mean(), image, found, logit(0), steps=4, background=colour(0.0, 0.0, 0.0))
    torch.testing.assert_close(rises.scores, torch.tensor([[0.0, 0.25, 0.5, 0.5, 0.5]]))
    torch.testing.assert_close(rises.auc, torch.tensor([(0.25 + 0.5 + 0.5 + 0.5 / 2) / 4]))
    assert falls.shares == rises.shares == (0, 0.25, 0.5, 0.75, 1)
    assert (falls.kind, rises.kind) == ("deletion", "insertion")
    assert float(deletion(reads_the_mean(), image, -found, logit(0), steps=4).auc) == pytest.approx(1.5 / 4)


@pytest.mark.parametrize("curve", CURVES)
def test_every_step_changes_exactly_as_many_pixels_as_it_says_whatever_the_ties(
    curve: Callable[..., PerturbationCurve],
) -> None:
    """From black to white, the score is the share of pixels that changed."""
    white = torch.ones(3, 3, 12, 12)
    for maps in (torch.zeros(3, 12, 12), (random_maps(3, (12, 12)) - 0.9).relu(), random_maps(3, (12, 12))):
        found = curve(reads_the_mean(), white, maps, logit(0), steps=7, background=colour(0.0, 0.0, 0.0))
        changed = torch.tensor([[round(144 * step / 7) / 144 for step in range(8)]] * 3)
        expected = 1 - changed if curve is deletion else changed
        torch.testing.assert_close(found.scores, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.tensor([found.shares] * 3), changed)


def test_uneven_steps_count_for_what_they_are_in_the_area() -> None:
    """Along a straight line the trapezoidal rule is exact, however the steps were rounded."""
    white = torch.ones(1, 3, 12, 12)
    found = deletion(reads_the_mean(), white, torch.zeros(1, 12, 12), logit(0), steps=100)
    assert len(found.shares) == 101
    torch.testing.assert_close(found.auc, torch.tensor([0.5]))


@pytest.mark.parametrize("curve", CURVES)
def test_both_ends_are_the_image_and_its_background(curve: Callable[..., PerturbationCurve]) -> None:
    net, given, maps = network("residual")[1], images(4), random_maps(4, (12, 12))
    found = curve(net, given, maps)
    classes = net(given).argmax(1)
    background = colour(*net.input.mean) if curve is deletion else blurred()
    whole, none = (probability(classes)(net(batch.contiguous())) for batch in (given, background(given)))
    ends = (whole, none) if curve is deletion else (none, whole)
    torch.testing.assert_close((found.scores[:, 0], found.scores[:, -1]), ends)
    assert len(found.shares) == 13
    assert found.background == background.name
    assert found.target == "probability of the predicted class"


def test_what_is_deleted_becomes_zero_to_the_network() -> None:
    given, maps = images(2), random_maps(2, (12, 12))
    found = deletion(reads_the_mean((0.2, 0.5, 0.7)), given, maps, logit(0))
    torch.testing.assert_close(found.scores[:, -1], torch.zeros(2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("curve", CURVES)
def test_curves_depend_on_the_seed_but_not_on_batches(curve: Callable[..., PerturbationCurve]) -> None:
    net, given, maps = network("plain")[1], images(5), (random_maps(5, (12, 12)) - 0.5).relu()
    whole = curve(net, given, maps)
    assert torch.equal(whole.scores, curve(net, given, maps).scores)
    assert not torch.equal(whole.scores, curve(net, given, maps, seed=1).scores)
    torch.testing.assert_close(curve(net, given, maps, memory_budget=1).scores, whole.scores)
    parts = [curve(net, given[s], maps[s], first_image=s.start) for s in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(torch.cat([part.auc for part in parts]), whole.auc)


def test_backgrounds() -> None:
    given = images(3)
    assert torch.equal(colour(0.1, 0.2, 0.3)(given)[1, :, 5, 5], torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(mean_colour()(given)[2, 1, 3, 4], given[2, 1].mean())
    for sigma in (0.7, 2.0, 8.0):  # further than the image is wide
        axes = gaussian_filter1d(given.double().numpy(), sigma, axis=2, mode="nearest", radius=int(np.ceil(3 * sigma)))
        axes = gaussian_filter1d(axes, sigma, axis=3, mode="nearest", radius=int(np.ceil(3 * sigma)))
        torch.testing.assert_close(blurred(sigma)(given), torch.from_numpy(axes).float(), rtol=0, atol=1e-5)
    torch.testing.assert_close(blurred()(given), blurred(1.5)(given))
    assert blurred(2.0).name == "blur of 2 pixels"


def test_what_cannot_be_perturbed_is_refused() -> None:
    net, given, maps = network("plain")[1], images(2), torch.zeros(2, 12, 12)
    with pytest.raises(DataError, match="0 steps cannot be taken over 144 pixels; take 1 to 144"):
        deletion(net, given, maps, steps=0)
    with pytest.raises(DataError, match="145 steps"):
        insertion(net, given, maps, steps=145)
    with pytest.raises(DataError, match="there are no images"):
        insertion(net, given[:0], maps[:0])
    with pytest.raises(DataError, match="the heat map of image 0 is not finite"):
        deletion(net, given, maps / 0)
    with pytest.raises(DataError, match="positive number of pixels, not 0"):
        blurred(0.0)
    with pytest.raises(UnknownNameError, match="classes 0 to 3"):
        deletion(net, given, maps, logit(4))
    with pytest.raises(DataError, match="images of"):
        deletion(net, images(2, size=(8, 8)), torch.zeros(2, 8, 8))
    with unchecked(), pytest.raises(DataError, match=r"of shape \(1, 12, 12\)"):
        deletion(net, given, maps[:1])
