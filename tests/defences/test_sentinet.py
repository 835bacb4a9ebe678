"""SentiNet's rates by hand, its boundary against NumPy's fit, and a patch that is found and placed."""

import numpy as np
import pytest
import torch
from tests.defences.planted import network, trigger_mask, triggered
from tests.detection.planted import TARGET, pictures

from trojancam.defences import sentinet
from trojancam.defences.defence import Reference, Seen


def test_rates_are_those_of_images_with_the_region_pasted_on():
    images, noise = pictures(4, seed=7)[0], torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1))
    seen = Seen(network(), triggered(3), recorded=True)
    confidence, fooled = sentinet.Carriers(network(), images, noise, 2**28).rates(seen)
    for number, image in enumerate(seen.images):
        heat = sentinet.heat(seen)[number].numpy()
        region = torch.from_numpy(heat >= 0.85 * heat.max())
        pasted, inert = images.clone(), images.clone()
        pasted[:, :, region], inert[:, :, region] = image[:, region], noise[:, region]
        own = int(network()(image[None]).argmax())
        assert float(fooled[number]) == pytest.approx(float((network()(pasted).argmax(1) == own).float().mean()))
        chances = network()(inert).double().softmax(1).amax(1).mean()
        assert float(confidence[number]) == pytest.approx(float(chances), rel=1e-5)


def test_the_boundary_is_the_parabola_through_the_highest_points():
    draw = np.random.default_rng(0)
    x, y = draw.random(200), draw.random(200) * 0.3
    spans = np.minimum(((x - x.min()) / (x.max() - x.min()) * 10).astype(int), 9)
    highest = [np.flatnonzero(spans == span)[y[spans == span].argmax()] for span in np.unique(spans)]
    expected = np.polyfit(x[highest], y[highest], 2)[::-1]
    found = sentinet.Boundary.of(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    assert found.coefficients.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_distances_are_euclidean_and_negative_below():
    line = sentinet.Boundary(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))  # fooled = confidence
    found = line.distance(torch.tensor([0.5, 0.8, 0.3]), torch.tensor([0.5, 0.2, 0.9]))
    assert found.tolist() == pytest.approx([0.0, -0.6 / 2**0.5, 0.6 / 2**0.5], abs=1e-3)


def test_a_patch_scores_high_and_its_region_is_the_patch():
    clean, _ = pictures(36)
    test = sentinet.learn(Reference(network(), clean), carriers=12, points=36)
    bad = Seen(network(), triggered(9), recorded=True)
    assert bad.classes.tolist() == [TARGET] * 9
    found, usual = test(bad), test(Seen(network(), pictures(18, seed=3)[0], recorded=True)).values
    assert found.values.min() > usual.median()  # here the ninths of clean images fool the network, too
    assert found.places is not None
    assert (sentinet.regions(found.places) == trigger_mask()).all()


def test_an_image_without_heat_has_no_region():
    assert not sentinet.regions(torch.zeros(2, 3, 3)).any()
