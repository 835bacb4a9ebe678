"""Atlas: many maps of one size as one picture, for pages that cut the tiles out of it again.

A level atlas is a PNG with a palette: a pixel holds a level, and the palette is the colour scale. So it is a picture to
look at as it is, a third the size of one in true colour, and the values can be read back from it, as fine as its levels.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from trojancam.errors import DataError
from trojancam.figures.colour import Array, ColourScale
from trojancam.network.placement import Axis, Placement

Bytes = NDArray[np.uint8]

TOP = 252  # the highest level; of signed values, the one in the middle is 0
LINE, NOTHING = 254, 255  # the levels of the lines between tiles, and of places without a tile
GAP = 1  # pixels between tiles
GREY = (128, 128, 128)
ROW = 8  # tiles that stand in one row
LEAST, MOST = 16, 64  # the longer side of a tile in pixels
FORM = (8, 5)  # columns to rows, about


@dataclass(frozen=True)
class Atlas:
    """A PNG of tiles, left to right, `columns` in a row, with a gap of one pixel around each; `tile` is height and width."""

    png: bytes
    count: int
    columns: int
    tile: tuple[int, int]


def level_atlas(values: Float[Tensor, "k h w"], scales: Sequence[ColourScale]) -> Atlas:
    """Maps as levels of their scales, each cell enlarged to whole pixels where there are few.

    All scales must be of one kind (signed or not, of the same colours); their limits may differ.

    Raises:
        DataError: if there is no map, or there are not as many scales as maps.

    >>> atlas = level_atlas(torch.rand(10, 4, 8), [ColourScale(1.0)] * 10)
    >>> atlas.count, atlas.tile
    (10, (8, 16))
    """
    if not len(values) or len(values) != len(scales):
        raise DataError(f"an atlas needs as many scales as maps, at least one; but got {len(scales)} and {len(values)}")
    factor = max(1, math.ceil(LEAST / max(values.shape[1:])))
    tiles = np.stack([_levels(each, scale) for each, scale in zip(values, scales, strict=True)])
    tiles = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    sheet, columns = _sheet(tiles, np.array(LINE, np.uint8), np.array(NOTHING, np.uint8))
    picture = Pillow.frombytes("P", (sheet.shape[1], sheet.shape[0]), sheet.tobytes())
    picture.putpalette([*palette(scales[0]).flatten().tolist(), *GREY * (NOTHING - TOP)])
    return Atlas(_png(picture, transparency=NOTHING), len(values), columns, (tiles.shape[1], tiles.shape[2]))


def picture_atlas(tiles: Sequence[Array]) -> Atlas:
    """Pictures `h w 3` in [0, 1], all of one size, as one.

    Raises:
        DataError: if there is none.
    """
    if not tiles:
        raise DataError("an atlas needs at least one picture")
    opaque = [np.dstack([_bytes(tile), np.full(tile.shape[:2], 255, np.uint8)]) for tile in tiles]
    nothing = np.zeros(4, np.uint8)
    sheet, columns = _sheet(np.stack(opaque), nothing, nothing)
    return Atlas(_png(Pillow.fromarray(sheet)), len(tiles), columns, (tiles[0].shape[0], tiles[0].shape[1]))


def picture_png(picture: Array) -> bytes:
    """A picture `h w 3` in [0, 1], pixel by pixel, as the bytes of a PNG."""
    return _png(Pillow.fromarray(_bytes(picture)))


def legend_png(scale: ColourScale) -> bytes:
    """The colours of all levels, lowest first, as a PNG of one row."""
    return _png(Pillow.fromarray(palette(scale)[None]))


def palette(scale: ColourScale) -> Bytes:
    """The colour of every level, `levels 3`."""
    limit = 1.0 if scale.blank else scale.limit
    return _bytes(
        ColourScale(limit, scale.signed, scale.colours).rgb(torch.linspace(-limit * scale.signed, limit, TOP + 1))
    )


def shrunk(values: Float[Tensor, "k h w"], placement: Placement) -> tuple[Float[Tensor, "k _ _"], Placement]:
    """Maps that are no larger than a tile may be: means over cells side by side, and where these lie."""
    height, width = values.shape[1:]
    step = math.ceil(max(height, width) / MOST)
    if step == 1:
        return values, placement
    size = math.ceil(height / step), math.ceil(width / step)
    rows, columns = (
        Axis(axis.stride * before / after, axis.offset + axis.stride * (before / after - 1) / 2)
        for axis, before, after in ((placement.rows, height, size[0]), (placement.columns, width, size[1]))
    )
    return F.adaptive_avg_pool2d(values, size), Placement(rows, columns)


def _levels(values: Float[Tensor, "h w"], scale: ColourScale) -> Bytes:
    shares = values.double() / (1.0 if scale.blank else scale.limit)
    shares = (shares + 1) / 2 if scale.signed else shares
    return np.asarray((shares.clamp(0, 1) * TOP).round().to(torch.uint8).numpy(force=True))


def _sheet(tiles: Bytes, line: Bytes, nothing: Bytes) -> tuple[Bytes, int]:
    """Tiles `k h w ...` on one sheet with lines around each, `nothing` where there is none; and how many are in a row."""
    count, height, width = tiles.shape[:3]
    ideal = round(math.sqrt(count * FORM[0] / FORM[1] * (height + GAP) / (width + GAP)))
    columns = count if count <= ROW else min(count, max(1, ideal))
    rows, step = math.ceil(count / columns), (height + GAP, width + GAP)
    sheet = np.empty((rows * step[0] + GAP, columns * step[1] + GAP, *tiles.shape[3:]), np.uint8)
    sheet[:] = nothing
    for place, tile in enumerate(tiles):
        top, left = place // columns * step[0], place % columns * step[1]
        sheet[top : top + step[0] + GAP, left : left + step[1] + GAP] = line
        sheet[top + GAP : top + step[0], left + GAP : left + step[1]] = tile
    return sheet, columns


def _bytes(picture: Array) -> Bytes:
    return np.asarray((picture.clip(0, 1) * 255).round().astype(np.uint8))


def _png(picture: Pillow.Image, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="png", optimize=True, **options)
    return stream.getvalue()
