"""DeepSweep's policies: the filter against SciPy's, moves and lens against what they must do to single pixels."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.nets import unchecked

from trojancam.defences import deepsweep
from trojancam.errors import DataError

IMAGES = torch.rand(3, 3, 20, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [3, 5])
def test_the_median_is_scipy_s(width):
    expected = ndimage.median_filter(IMAGES.numpy(), (1, 1, width, width), mode="nearest")
    np.testing.assert_array_equal(deepsweep.median(IMAGES, width).numpy(), expected)


def move(down=0.0, across=0.0, scale=1.0, degrees=0.0):
    return torch.tensor([[down, across, scale, degrees]])


def test_moves_shift_scale_and_turn():
    image = torch.zeros(1, 1, 20, 20)
    image[0, 0, 4, 12] = 1.0
    torch.testing.assert_close(deepsweep.moved(image, move()), image)
    shifted = deepsweep.moved(image, move(down=0.25, across=-0.1))
    torch.testing.assert_close(shifted, image.roll((5, -2), (2, 3)), atol=1e-5, rtol=0)
    assert float(deepsweep.moved(torch.ones(1, 1, 20, 20), move(across=0.25))[0, 0, :, :5].sum()) == pytest.approx(
        0, abs=1e-3
    )
    turned = deepsweep.moved(image, move(degrees=90.0))
    torch.testing.assert_close(turned.abs().amax(), torch.tensor(1.0), atol=1e-4, rtol=0)
    assert torch.allclose(turned, image.rot90(1, (2, 3)), atol=1e-4) or torch.allclose(
        turned, image.rot90(-1, (2, 3)), atol=1e-4
    )
    square = torch.zeros(1, 1, 20, 20)
    square[0, 0, 8:12, 8:12] = 1.0
    assert float(deepsweep.moved(square, move(scale=2.0)).sum()) == pytest.approx(64, rel=0.1)


def test_it_is_the_policy_step_by_step_and_images_do_not_touch_each_other():
    small = torch.nn.functional.interpolate(deepsweep.median(IMAGES, 3), (16, 13), mode="bilinear")
    whole = torch.nn.functional.interpolate(deepsweep.median(small, 3), (20, 16), mode="bilinear")
    found = deepsweep.swept(IMAGES, seed=5)
    for number in range(3):
        alone = deepsweep.swept(IMAGES[number : number + 1], seed=5, first=number)
        torch.testing.assert_close(alone[0], found[number])
        torch.testing.assert_close(
            found[number : number + 1],
            deepsweep.moved(whole[number : number + 1], deepsweep._drawn(5 + number)[None]),
        )
    assert ((found >= 0) & (found <= 1)).all()


def test_the_intensive_policy_step_by_step_and_images_do_not_touch_each_other():
    sweep = deepsweep
    drawn = torch.stack([sweep.Draws(5 + number + 1).uniform(6) for number in range(3)])
    images = sweep.median(sweep.through_lens(IMAGES, drawn[:, :3]).clamp(0, 1) ** 0.6, 3)
    images = (images * 1.53).clamp(max=1) ** 2.6
    for size in ((5, 4), (20, 16)):
        images = torch.nn.functional.interpolate(images, size, mode="bilinear")
    images = sweep.median(images, 3)
    images = sweep.median(torch.nn.functional.interpolate(images, (16, 13), mode="bilinear"), 3)
    images = torch.nn.functional.interpolate(images, (20, 16), mode="bilinear")
    moves = torch.stack([sweep._drawn(5 + number) for number in range(3)])
    expected = sweep.moved(sweep.enlarged(images, drawn[:, 3:]), moves)
    found = sweep.swept_intensively(IMAGES, seed=5)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(sweep.swept_intensively(IMAGES[2:], seed=5, first=2)[0], found[2], rtol=1e-4, atol=1e-5)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_lens_bends_more_the_farther_from_its_centre_and_leaves_the_centre():
    ramp = (torch.arange(40) + 0.5).expand(1, 1, 40, 40) / 40 - 0.5
    bent = deepsweep.through_lens(ramp, torch.tensor([[1.0, 0.5, 0.5]]))  # k = 0.05, about the middle
    place = ramp.double()
    square = place.square() + place.mT.square()
    expected = place * (1 + 0.05 * square + 0.05 * square.square())
    torch.testing.assert_close(bent[..., 5:35, 5:35].double(), expected[..., 5:35, 5:35], atol=1e-4, rtol=0)
    torch.testing.assert_close(deepsweep.through_lens(ramp, torch.full((1, 3), 0.5)), ramp)


@pytest.mark.parametrize(("part", "side"), [(0.0, 20 / 1.1), (0.999999, 20.0)])
def test_an_enlarged_image_lies_on_black_somewhere_inside(part, side):
    for place in (0.0, 0.5, 0.999999):
        found = deepsweep.enlarged(torch.ones(1, 1, 20, 20), torch.tensor([[part, place, place]]))
        assert float(found.sum()) == pytest.approx(side**2, rel=0.05)
    low, high = (
        deepsweep.enlarged(torch.ones(1, 1, 20, 20), torch.tensor([[0.0, place, 0.5]])) for place in (0.0, 0.999999)
    )
    torch.testing.assert_close(low, high.flip(2), atol=1e-4, rtol=0)
    assert float(low[0, 0, 0, 10]) == pytest.approx(1, abs=1e-3)  # it touches the edge, and leaves the other one
    assert float(low[0, 0, -1, 10]) == 0


def test_draws_stay_within_the_policy_and_differ():
    draws = torch.stack([deepsweep._drawn(seed) for seed in range(200)])
    assert (draws[:, :2].abs() <= 0.16).all()
    assert ((draws[:, 2] >= 0.84) & (draws[:, 2] <= 1.16)).all()
    assert (draws[:, 3].abs() <= 4).all()
    assert (draws.std(0) > 0.05).all()


def test_a_small_patch_loses_its_shape():
    image = torch.full((1, 3, 32, 32), 0.5)
    image[..., 3:5, 3:5] = 1.0
    assert float((deepsweep.swept(image, seed=1) - 0.5).clamp(min=0).amax()) < 0.1


def test_images_that_are_too_small_are_refused():
    with unchecked(), pytest.raises(DataError, match="too small for a median filter"):
        deepsweep.swept(torch.rand(1, 3, 2, 9))
    with unchecked(), pytest.raises(DataError, match="too small for a median filter"):
        deepsweep.swept_intensively(torch.rand(1, 3, 2, 9))
