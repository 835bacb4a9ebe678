"""Stamps against patches that are pasted one at a time; gradients arrive where the patch lies."""

import pytest
import torch

from trojancam.detection.stamps import Stamps, corners

SIZE = (7, 9)
CORNERS = torch.tensor([[0, 0], [4, 6], [2, 1]])
VALUES = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def pasted() -> torch.Tensor:
    """Every image with every patch, pixel by pixel."""
    expected = IMAGES.repeat(3, 1, 1, 1, 1)
    for place, (row, column) in enumerate(CORNERS.tolist()):
        expected[place, :, :, row : row + 3, column : column + 3] = 1 / (1 + (-VALUES[place]).exp())
    return expected


def test_each_image_bears_each_patch() -> None:
    torch.testing.assert_close(Stamps(CORNERS, VALUES, SIZE).apply(IMAGES), pasted())


def test_masks_hold_the_patches_and_patterns_are_empty_elsewhere() -> None:
    masks, patterns = Stamps(CORNERS, VALUES, SIZE).laid_out()
    assert masks.flatten(1).sum(1).tolist() == [9.0, 9.0, 9.0]
    assert masks[1, 0, 4:, 6:].eq(1).all()
    assert patterns.masked_select(masks.expand_as(patterns) == 0).eq(0).all()


def test_some_of_them_and_other_patterns_are_stamped_in_the_same_way() -> None:
    stamps, chosen = Stamps(CORNERS, VALUES, SIZE), torch.tensor([2, 0])
    torch.testing.assert_close(stamps.picked(chosen).apply(IMAGES), pasted()[chosen])
    other = stamps.with_values(torch.zeros_like(VALUES)).apply(IMAGES)
    assert other[0, :, :, :3, :3].eq(0.5).all()  # the sigmoid of 0


def test_gradients_are_those_of_the_pixels_that_a_patch_covers() -> None:
    values = VALUES.clone().requires_grad_()
    Stamps(CORNERS, values, SIZE).apply(IMAGES).sum().backward()
    shares = VALUES.sigmoid()
    torch.testing.assert_close(values.grad, len(IMAGES) * shares * (1 - shares))


@pytest.mark.parametrize(
    ("size", "side", "stride"), [((32, 32), 6 / 32, 13 / 32), ((12, 20), 0.25, 0.5), ((5, 5), 0.01, 1.0)]
)
def test_corners_are_a_grid_of_all_places_where_a_patch_fits(size: tuple[int, int], side: float, stride: float) -> None:
    pixels, step = max(1, round(min(size) * side)), max(1, round(min(size) * stride))
    expected = [
        [row, column]
        for row in range(0, size[0], step)
        for column in range(0, size[1], step)
        if row + pixels <= size[0] and column + pixels <= size[1]
    ]
    assert corners(size, side, stride).tolist() == expected
