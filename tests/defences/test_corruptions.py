"""The fifteen corruptions against formulae in NumPy and SciPy, and what all of them have in common."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats

from trojancam.defences import corruptions
from trojancam.defences.corruptions import CORRUPTIONS, corrupted

IMAGES = torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0))
FLAT = torch.full((1, 3, 64, 64), 0.5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_keeps_size_and_range_and_leaves_its_input_and_other_images_alone(name):
    before = IMAGES.clone()
    one, last = corrupted(IMAGES, name, 1, seed=4), corrupted(IMAGES, name, 5, seed=4)
    for found in (one, last):
        assert found.shape == IMAGES.shape
        assert ((found >= 0) & (found <= 1)).all()
    assert torch.equal(IMAGES, before)
    assert not torch.allclose(one, last)
    assert torch.allclose(corrupted(IMAGES[1:2], name, 5, seed=4), last[1:2], atol=1e-5)
    assert torch.equal(corrupted(IMAGES, name, 5, seed=4), last)


def test_there_are_fifteen():
    assert len(CORRUPTIONS) == 15


@pytest.mark.parametrize(("grade", "deviation"), [(1, 0.08), (2, 0.12)])
def test_gaussian_noise_has_the_deviation_of_its_grade(grade, deviation):
    noise = (corrupted(FLAT, "gaussian noise", grade) - FLAT).flatten().numpy()
    assert noise.std() == pytest.approx(deviation, rel=0.03)
    assert stats.kstest(noise / deviation, "norm").pvalue > 0.01


@pytest.mark.parametrize(("grade", "photons"), [(1, 60), (5, 3)])
def test_shot_noise_is_poisson(grade, photons):
    counts = (corruptions.shot_noise(FLAT, grade - 1, corruptions.Draws(1)) * photons).flatten()
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    assert float(counts.mean()) == pytest.approx(photons / 2, rel=0.03)
    assert float(counts.var()) == pytest.approx(photons / 2, rel=0.1)


def test_impulse_noise_makes_a_share_of_the_values_black_or_white():
    found = corrupted(FLAT, "impulse noise", 5)
    assert float((found == 0).double().mean()) == pytest.approx(0.135, abs=0.02)
    assert float((found == 1).double().mean()) == pytest.approx(0.135, abs=0.02)
    assert float((found == 0.5).double().mean()) == pytest.approx(0.73, abs=0.02)


def test_defocus_is_a_disk():
    place = np.arange(-4, 5)
    disk = ((place[:, None] ** 2 + place**2) <= 16).astype(float)
    kernel = ndimage.gaussian_filter(disk / disk.sum(), 0.5)
    expected = np.stack([ndimage.correlate(each, kernel, mode="nearest") for each in IMAGES[0].double().numpy()])
    np.testing.assert_allclose(corrupted(IMAGES, "defocus blur", 2)[0].numpy(), expected, atol=1e-4)


def test_the_blur_of_glass_is_scipy_s_and_its_pixels_change_places():
    expected = ndimage.gaussian_filter(IMAGES[0, 0].double().numpy(), 1.1, mode="nearest")
    np.testing.assert_allclose(corruptions._blurred(IMAGES, 1.1)[0, 0].numpy(), expected, atol=1e-3)
    found = corrupted(IMAGES, "glass blur", 1)
    assert float((found - IMAGES).abs().amax()) > 0.1


def test_motion_goes_one_way_along_a_line():
    point = torch.zeros(1, 1, 61, 61)
    point[..., 30, 30] = 1
    level = corruptions._moving(point, 5, 3, 0.0)[0, 0]
    assert (level.sum(1) > 1e-6).nonzero()[:, 0].tolist() == [30]
    row = level[30]
    reached = (row > 1e-6).nonzero()[:, 0]
    assert len(reached) == 11
    assert 30 in (reached.min(), reached.max())
    weights = torch.exp(-(torch.arange(11.0) ** 2) / 18)
    torch.testing.assert_close(row[reached].sort(descending=True).values, weights / weights.sum(), atol=1e-5, rtol=0)


def test_zoom_blur_is_the_mean_of_the_image_and_of_larger_ones():
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64) * 0.4 + 0.5
    factors = np.arange(1, 1.11, 0.01)
    slope = (1 + (1 / factors).sum()) / (len(factors) + 1)
    found = corrupted(ramp, "zoom blur", 1)
    inner = slice(8, 56)
    torch.testing.assert_close(found[..., inner], ((ramp - 0.5) * slope + 0.5)[..., inner].float(), atol=1e-4, rtol=0)


def test_brightness_raises_the_value_and_keeps_the_hue():
    found = corrupted(torch.tensor([0.4, 0.2, 0.1]).view(1, 3, 1, 1).expand(1, 3, 4, 4), "brightness", 2)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([0.6, 0.3, 0.15]))


def test_contrast_goes_to_the_mean():
    mean = IMAGES.double().mean((2, 3), keepdim=True)
    expected = (IMAGES.double() - mean) * 0.05 + mean
    torch.testing.assert_close(corrupted(IMAGES, "contrast", 5).double(), expected, atol=1e-6, rtol=0)


def test_pixelate_is_the_mean_of_blocks():
    blocks = IMAGES.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    expected = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(corrupted(IMAGES, "pixelate", 5), expected)


def test_jpeg_is_pillow_s():
    stream = io.BytesIO()
    pixels = (IMAGES[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=7)
    expected = torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1) / 255
    torch.testing.assert_close(corrupted(IMAGES, "jpeg compression", 5)[0], expected)


def test_snow_fog_and_frost_are_what_their_words_say():
    dark = torch.full((1, 3, 64, 64), 0.2)
    snowy = corrupted(dark, "snow", 1)
    assert float((snowy - dark).amin()) > 0
    foggy = corrupted(IMAGES, "fog", 5)
    assert float(foggy.std()) < float(IMAGES.std())
    assert float(foggy.amax()) <= float(IMAGES.amax()) + 1e-5
    frosty = corrupted(dark, "frost", 3)
    assert float(frosty.amin()) >= 0.7 * 0.2 - 1e-6
    assert float(frosty.amax()) == pytest.approx(0.7 * 0.2 + 0.7, abs=0.05)


def test_elastic_bends_more_and_keeps_what_is_even():
    torch.testing.assert_close(corrupted(FLAT, "elastic transform", 1), FLAT)
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    bent = corrupted(ramp, "elastic transform", 4)
    assert 0.005 < float((bent - ramp).abs().mean()) < 0.1
