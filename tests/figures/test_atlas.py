"""Atlases: values can be read back from the picture, and maps that are too large are shrunk to means."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tests.nets import random_maps

from trojancam.errors import DataError
from trojancam.figures.atlas import MOST, TOP, legend_png, level_atlas, palette, picture_atlas, shrunk
from trojancam.figures.colour import ColourScale
from trojancam.network.placement import laid_over, stretched


def tiles(png: bytes, tile: tuple[int, int], columns: int, count: int) -> list[np.ndarray]:
    """The tiles cut out again, as a page does it."""
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    found = []
    for place in range(count):
        top, left = 1 + place // columns * (tile[0] + 1), 1 + place % columns * (tile[1] + 1)
        found.append(sheet[top : top + tile[0], left : left + tile[1]])
    return found


@pytest.mark.parametrize("count", [1, 3, 8, 9, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_values_can_be_read_back(count: int, signed: bool) -> None:
    values = random_maps(count, (5, 7)) - 0.5 * signed
    scales = [ColourScale(1.0 + k, signed) for k in range(count)]
    atlas = level_atlas(values, scales)
    factor = atlas.tile[0] // 5
    assert atlas.tile == (5 * factor, 7 * factor)
    for k, tile in enumerate(tiles(atlas.png, atlas.tile, atlas.columns, count)):
        levels = tile[::factor, ::factor] / TOP * (2 if signed else 1) - signed
        assert np.repeat(np.repeat(tile[::factor, ::factor], factor, 0), factor, 1).tolist() == tile.tolist()
        assert (
            np.abs(levels * scales[k].limit - values[k].numpy()).max()
            <= (1 + signed) * scales[k].limit / TOP / 2 + 1e-6
        )


def test_the_colours_tell_the_levels_apart() -> None:
    for signed in (False, True):
        colours = palette(ColourScale(1.0, signed))
        assert colours.shape == (TOP + 1, 3)
        assert len({tuple(colour) for colour in colours.tolist()}) >= 0.97 * TOP
        assert (
            np.asarray(Image.open(io.BytesIO(legend_png(ColourScale(1.0, signed)))).convert("RGB"))[0].tolist()
            == colours.tolist()
        )


def test_blank_maps_are_the_lowest_colour() -> None:
    atlas = level_atlas(torch.zeros(2, 4, 4), [ColourScale(0.0), ColourScale(1.0)])
    assert all((tile == 0).all() for tile in tiles(atlas.png, atlas.tile, atlas.columns, 2))


def test_pictures_are_kept_pixel_by_pixel() -> None:
    pictures = [np.random.default_rng(k).integers(0, 256, (6, 4, 3)) / 255 for k in range(9)]
    atlas = picture_atlas(pictures)
    for picture, tile in zip(pictures, tiles(atlas.png, atlas.tile, atlas.columns, 9), strict=True):
        assert (tile[..., :3] == (picture * 255).round()).all()
        assert (tile[..., 3] == 255).all()


def test_large_maps_become_means_that_lie_where_they_did() -> None:
    ramp = torch.arange(2.0 * MOST).expand(1, 2 * MOST, -1)
    placement = stretched((2 * MOST, 2 * MOST), (4 * MOST, 4 * MOST))
    small, placed = shrunk(ramp, placement)
    assert small.shape == (1, MOST, MOST)
    before, after = (
        laid_over(maps[None], where, (4 * MOST, 4 * MOST)) for maps, where in ((ramp, placement), (small, placed))
    )
    inner = slice(4, -4)
    torch.testing.assert_close(after[..., inner], before[..., inner])
    same, unchanged = shrunk(ramp[:, :4, :4], placement)
    assert (same.shape, unchanged) == ((1, 4, 4), placement)


def test_an_atlas_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        level_atlas(torch.zeros(0, 4, 4), [])
    with pytest.raises(DataError, match="as many scales as maps"):
        level_atlas(torch.zeros(2, 4, 4), [ColourScale(1.0)])
    with pytest.raises(DataError, match="at least one picture"):
        picture_atlas([])
