"""Profiles and distances against explicit sums and inverses in 64 bits; what is unusual is found, and where."""

import numpy as np
import pytest
import torch
from tests.defences.planted import network, trigger_mask, triggered
from tests.detection.planted import pictures
from tests.nets import NETS, images_for
from tests.nets import network as net

from trojancam.defences import contributions
from trojancam.defences.defence import Reference, Seen
from trojancam.network.network import Network
from trojancam.network.recording import record


@pytest.mark.parametrize("name", NETS)
def test_profiles_are_shares_of_what_each_feature_map_and_each_cell_does(name):
    _, tested = net(name)
    recording = record(tested, images_for(tested, 3))
    found = contributions.profiles(recording)
    for layer, recorded in recording.layers.items():
        a, g = recorded.activations.double().numpy(), recorded.gradients.double().numpy()
        each = {
            "positive": np.maximum(a * g, 0).sum((2, 3)), "peaks": (a * g).max((2, 3)), "activity": a.max((2, 3)),
            "cells": np.maximum(a * g, 0).sum(1).reshape(len(a), -1),
        }  # fmt: skip
        for kind, values in each.items():
            total = np.abs(values).sum(1, keepdims=True)
            expected = np.divide(values, total, out=np.zeros_like(values), where=total > 1e-12)
            np.testing.assert_allclose(found[layer, kind].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_cells_of_a_large_layer_are_means_on_a_grid_of_16_by_16():
    class Large(torch.nn.Module):
        """One layer of 32 by 48 cells, whose gradients are 1 for the logit of class 0."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 2, 1)

        def forward(self, images):
            both = self.layer(images).sum((1, 2, 3))
            return torch.stack([both, both - 1], 1)

    torch.manual_seed(0)
    tested = Network.from_module(Large(), (32, 48))
    recording = record(tested, torch.rand(2, 3, 32, 48))
    (layer,) = recording.layers
    sums = np.maximum(recording.layers[layer].activations.double().numpy(), 0).sum(1)
    means = sums.reshape(2, 16, 2, 16, 3).mean((2, 4)).reshape(2, -1)
    found = contributions.profiles(recording)[layer, "cells"]
    np.testing.assert_allclose(found.numpy(), means / means.sum(1, keepdims=True), rtol=1e-5)


def distance_by_hand(values, classes, new, number, known):
    """With explicit means, covariance and inverse."""
    means = [(values[classes == c].sum(0) + values.mean(0)) / ((classes == c).sum() + 1) for c in range(3)]
    away = np.array([v - means[c] for v, c in zip(values, classes, strict=True)])
    away = away if known else values - values.mean(0)
    covariance = away.T @ away / len(away)
    shrunken = 0.7 * covariance + 0.3 * np.diag(np.diag(covariance))
    shrunken += np.eye(len(covariance)) * (1e-3 * np.diag(covariance).mean() + 1e-12)
    d = new - means[number]
    return d @ np.linalg.inv(shrunken) @ d / len(d)


def test_distances_are_those_of_mahalanobis_with_the_covariance_within_classes():
    draw = np.random.default_rng(0)
    values, new = draw.normal(size=(30, 4)), draw.normal(size=(6, 4))
    classes = np.arange(30) % 2  # of class 2 nothing is known
    numbers = np.array([0, 1, 2, 0, 1, 2])
    distance = contributions.ClassDistance.of(torch.from_numpy(values), torch.from_numpy(classes), 3)
    found = distance(torch.from_numpy(new), torch.from_numpy(numbers))
    expected = [distance_by_hand(values, classes, x, c, c < 2) for x, c in zip(new, numbers, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_excess_is_counted_in_deviations_above_the_mean_of_the_class():
    values = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64).repeat(500, 1)
    distance = contributions.ClassDistance.of(values, torch.zeros(1000, dtype=torch.int64), 1)
    excess = distance.excess(torch.tensor([[3.0, -1.0]], dtype=torch.float64), torch.tensor([0]))
    assert excess[0].tolist() == pytest.approx([2.0, 0.0], rel=1e-2)


def test_feature_maps_that_never_vary_and_a_single_image_do_no_harm():
    for count in (1, 2, 5):
        values = torch.full((count, 3), 1 / 3, dtype=torch.float64)
        scale = contributions.Scale.of(values, torch.zeros(count, dtype=torch.int64), 2)
        assert scale.z(values, torch.zeros(count, dtype=torch.int64)).isfinite().all()


@pytest.mark.parametrize("name", NETS)
def test_any_network_has_finite_scores_and_places_of_no_negative_heat(name):
    _, tested = net(name)
    test = contributions.learn(Reference(tested, images_for(tested, 12)))
    found = test(Seen(tested, images_for(tested, 5, seed=9), recorded=True))
    assert found.values.isfinite().all()
    assert found.places is not None
    assert found.places.shape == (5, 12, 12)
    assert (found.places >= 0).all()


def test_a_trigger_is_found_and_its_place_is_shown():
    test = contributions.learn(Reference(network(), pictures(36)[0]))
    usual = test(Seen(network(), pictures(18, seed=3)[0], recorded=True)).values
    found = test(Seen(network(), triggered(), recorded=True))
    assert found.values.min() > usual.max()
    assert found.places is not None
    assert (found.places[:, trigger_mask()].sum(1) > 0.8 * found.places.sum((1, 2))).all()


def test_the_score_weighs_which_feature_maps_as_much_as_where():
    """Against the profiles, distances and scales put together by hand."""
    tested, clean = network(), pictures(36)[0]
    found = contributions.learn(Reference(tested, clean))(Seen(tested, triggered(), recorded=True)).values
    of_clean, of_bad = record(tested, clean), record(tested, triggered())
    learnt, new = contributions.profiles(of_clean), contributions.profiles(of_bad)
    own, classes = of_clean.logits.argmax(1), of_bad.logits.argmax(1)
    expected = torch.zeros(len(new[next(iter(new))]), dtype=torch.float64)
    for (layer, kind), values in learnt.items():
        scale = contributions.Scale.of(values, own, of_clean.logits.shape[1])
        share = 1 / 2 if kind == "cells" else 1 / 6
        expected += share * scale.z(new[layer, kind], classes).clamp(min=0) ** 2
    np.testing.assert_allclose(found, expected / len(of_clean.layers), rtol=1e-4)
