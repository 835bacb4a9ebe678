"""Smallest changes: on networks whose smallest change is known, it is found; and nothing but the images decides."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from trojancam.attacks.families import image_family
from trojancam.detection.smallest_changes.search import Phase, SearchSettings, cost, smallest_changes
from trojancam.detection.suspect import Suspect, suspect
from trojancam.errors import DataError
from trojancam.network.network import Network

SIZE = 8
THOROUGH = SearchSettings(screen=Phase(60, 4, 0.8, 0.08), detail=Phase(150, 4, 0.95, 0.02), keep=4)


def linear(classes: int = 4) -> tuple[Network, Tensor, Tensor]:
    """Logits that are linear in the pixels: one kernel as large as the image for each class."""
    weights = torch.randn(classes, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    weights[-1 if classes < 3 else 2] *= 2.5  # a class that is nearer than the others
    bias = torch.arange(classes) / classes
    convolution = nn.Conv2d(3, classes, SIZE)
    with torch.no_grad():
        convolution.weight.copy_(weights)
        convolution.bias.copy_(bias - weights.sum((1, 2, 3)) / 2)  # grey gives the bias
    return Network.from_module(nn.Sequential(convolution, nn.Flatten()), (SIZE, SIZE)), weights, bias


def grey(network: Network, count: int = 8) -> Suspect:
    """Images of one grey, all of the class that the network names."""
    return suspect(network, torch.full((count, 3, SIZE, SIZE), 0.5))


def smallest_by_hand(weights: Tensor, bias: Tensor, target: int) -> float:
    """`min |d|` with `(w_t - w_k) d >= b_k - b_t` for all k, in float64, by alternating projections (Dykstra)."""
    others = [k for k in range(len(bias)) if k != target]
    normals = (weights[target] - weights[others]).double().flatten(1)
    needed = (bias[others] - bias[target]).double()
    found = torch.zeros(normals.shape[1], dtype=torch.float64)
    left = torch.zeros_like(normals)
    for _ in range(400):
        for k, normal in enumerate(normals):
            start = found + left[k]
            found = start + normal * ((needed[k] - normal @ start).clamp(min=0) / normal.square().sum())
            left[k] = start - found
    return float(found.norm())


def test_of_a_linear_network_the_sizes_are_those_of_the_nearest_points_of_the_classes() -> None:
    network, weights, bias = linear()
    images = grey(network)
    found = smallest_changes(images, images, image_family("additive", (SIZE, SIZE)), THOROUGH, seed=0)
    own = int(images.labels[0])
    assert set(found.targets.tolist()) == set(range(4)) - {own}
    for target, size in zip(found.targets.tolist(), found.sizes.tolist(), strict=True):
        least = smallest_by_hand(weights, bias, target)
        assert 0.9 * least <= size <= 1.15 * least  # between two scales it is interpolated


def test_the_change_given_has_the_size_given_and_sends_the_images_there() -> None:
    network, *_ = linear()
    images = grey(network)
    family = image_family("additive", (SIZE, SIZE))
    found = smallest_changes(images, images, family, THOROUGH, seed=0)
    assert torch.allclose(family.size(found.parameters), found.sizes, rtol=1e-3)
    slightly_more = family.scaled(found.parameters, 1.02)
    for place, target in enumerate(found.targets.tolist()):
        sent = network(family.member(slightly_more, place).apply(images.images)).argmax(1) == target
        assert bool(sent.all())


def test_sizes_stay_within_the_largest() -> None:
    network, *_ = linear()
    images = grey(network)
    family = image_family("additive", (SIZE, SIZE))
    found = smallest_changes(images, images, family, replace(THOROUGH, largest=0.001), seed=0)
    assert float(family.size(found.parameters).max()) <= 0.001 * (1 + 1e-3)
    assert not found.successes.any()
    assert (found.sizes > 0.001).all()  # a size that was not reached is larger than any that was allowed


def test_memory_does_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network, *_ = linear()
    images, family = grey(network), image_family("warp", (SIZE, SIZE))
    noisy = replace(images, images=(images.images + 0.4 * torch.rand_like(images.images)).clamp(0, 1))
    brief = SearchSettings(screen=Phase(4, 4, 0.8, 0.08), detail=Phase(4, 4, 0.95, 0.02), keep=3)
    whole = smallest_changes(noisy, noisy, family, brief, seed=3)
    monkeypatch.setattr("trojancam.network.batches.Footprint.rows", lambda *_, **__: 1)
    parts = smallest_changes(noisy, noisy, family, brief, seed=3)
    assert whole.targets.tolist() == parts.targets.tolist()
    assert torch.allclose(whole.sizes, parts.sizes, rtol=1e-3)


def test_progress_counts_up_to_the_cost() -> None:
    network, *_ = linear()
    images = grey(network)
    told: list[int] = []
    brief = SearchSettings(screen=Phase(3, 4, 0.8, 0.08), detail=Phase(3, 4, 0.95, 0.02), keep=2)
    smallest_changes(images, images, image_family("additive", (SIZE, SIZE)), brief, 0, told.append)
    assert 0.6 * cost(images, brief) <= sum(told) <= cost(images, brief)


def test_halves_that_nothing_could_be_sent_in_are_refused() -> None:
    network, *_ = linear(2)
    images = grey(network)
    only = replace(images, labels=1 - images.labels)  # of two classes: each is named, or is the label
    with pytest.raises(DataError, match="add images of other classes"):
        smallest_changes(images, only, image_family("additive", (SIZE, SIZE)), THOROUGH, 0)


def test_a_family_with_numbers_that_have_no_size_is_refused() -> None:
    network, *_ = linear()
    with pytest.raises(DataError, match="family patch cannot be searched by its size"):
        smallest_changes(grey(network), grey(network), image_family("patch", (SIZE, SIZE)), THOROUGH, 0)
