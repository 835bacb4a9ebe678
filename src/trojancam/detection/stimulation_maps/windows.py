"""Windows: where in a layer it is stimulated, a grid of small squares that together cover every cell."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from trojancam.network.layers import Layer
from trojancam.showing import Brief

FIELD = 3 / 8  # of the image's width, at most, is what a cell of an early layer sees
SHARE = 8  # a window is an eighth of the image wide: patches that nobody notices are not much larger


@dataclass(frozen=True)
class Windows(Brief):
    """Squares of `size` cells in a layer's maps, their upper left cells at every pair of `rows` and `columns`."""

    layer: Layer
    size: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def corner(self, index: int) -> tuple[int, int]:
        """Row and column of a window's upper left cell."""
        return self.rows[index // len(self.columns)], self.columns[index % len(self.columns)]

    def masks(self) -> Bool[Tensor, "p h w"]:
        """Which cells each window holds."""
        return torch.stack([self.mask(*self.corner(index)) for index in range(len(self))])

    def mask(self, row: int, column: int) -> Bool[Tensor, "h w"]:
        """Which cells a window of this size holds, its upper left cell where it is told."""
        cells = torch.zeros(self.layer.size, dtype=torch.bool, device="cpu")
        cells[row : row + self.size[0], column : column + self.size[1]] = True
        return cells

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """The centre of such a window, in pixels of the image (0 is the centre of the first pixel)."""
        placement = self.layer.placement
        return (
            placement.rows.offset + placement.rows.stride * (row + (self.size[0] - 1) / 2),
            placement.columns.offset + placement.columns.stride * (column + (self.size[1] - 1) / 2),
        )


def windows(layer: Layer, image_size: tuple[int, int]) -> Windows:
    """Windows side by side, the last ones moved in so that they end with the map."""
    axes = (layer.placement.rows, layer.placement.columns)
    size = [
        min(cells, max(2, round(extent / SHARE / axis.stride)))
        for axis, cells, extent in zip(axes, layer.size, image_size, strict=True)
    ]
    rows, columns = (_starts(cells, width) for cells, width in zip(layer.size, size, strict=True))
    return Windows(layer, (size[0], size[1]), rows, columns)


def shallow(layer: Layer, image_size: tuple[int, int]) -> bool:
    """Whether a layer tells small places apart: in deeper ones any class can be driven anywhere, in clean networks, too.

    Two of its cells fit into a window, and a cell sees no more than three windows' width of the image.
    """
    axes = (layer.placement.rows, layer.placement.columns)
    return min(layer.size) > 2 and all(
        2 * axis.stride <= max(2, extent / SHARE) and axis.field <= max(3, FIELD * extent)
        for axis, extent in zip(axes, image_size, strict=True)
    )


def _starts(cells: int, width: int) -> tuple[int, ...]:
    count = math.ceil(cells / width)
    return tuple(round(number * (cells - width) / max(1, count - 1)) for number in range(count))
