"""Placement: where the cells of a layer lie in the image, and how maps are laid over it accordingly.

A convolution without padding leaves out the image's border, so that stretching its map over the whole image moves
what it shows by pixels: for two such layers and a pooling, as at the head of AlexNet-style networks, by up to four.
Following each cell's receptive field through the graph puts its centre where it belongs. Where every layer keeps the
size ("same" padding), placing and stretching are the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

aten = torch.ops.aten

Maps = Float[Tensor, "n k h w"]


@dataclass(frozen=True)
class Axis:
    """The centre of cell i lies at pixel `offset + stride * i` (0 is the centre of the first pixel).

    `field` is the width of a cell's receptive field in pixels.
    """

    stride: float = 1.0
    offset: float = 0.0
    field: float = field(default=1.0, compare=False)

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        """After a convolution or pooling: cell i looks at cells `i * stride - padding + [0, dilation * (kernel - 1)]`."""
        reach = dilation * (kernel - 1)
        return Axis(
            self.stride * stride, self.offset + self.stride * (reach / 2 - padding), self.field + self.stride * reach
        )


@dataclass(frozen=True)
class Placement:
    """Where the cells of a layer lie in the image, by row and by column."""

    rows: Axis = Axis()
    columns: Axis = Axis()

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of a cell in whole pixels, rounded up."""
        return math.ceil(self.rows.stride), math.ceil(self.columns.stride)


def stretched(cells: tuple[int, int], image_size: tuple[int, int]) -> Placement:
    """The placement of cells that divide the image evenly, as resizing a map to the image's size assumes."""
    rows, columns = (
        Axis(extent / count, (extent / count - 1) / 2, extent / count)
        for extent, count in zip(image_size, cells, strict=True)
    )
    return Placement(rows, columns)


def laid_over(
    maps: Maps, placement: Placement, image_size: tuple[int, int], smooth: bool = True
) -> Float[Tensor, "n k height width"]:
    """Maps at the size of the image: bilinear between the centres of the cells, the nearest cell beyond the outer ones.

    Not `smooth`, every pixel shows its nearest cell, so that the cells can be told apart.

    >>> laid_over(torch.tensor([[[[0.0, 1.0]]]]), stretched((1, 2), (1, 4)), (1, 4))[0, 0]
    tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    rows = _weights(placement.rows, maps.shape[2], image_size[0], smooth).to(maps)
    columns = _weights(placement.columns, maps.shape[3], image_size[1], smooth).to(maps)
    return rows @ maps @ columns.T


def behind_window(node: fx.Node, before: Placement) -> Placement | None:
    """The placement of what a convolution, a pooling or a padding gives of maps; None of a transposed convolution."""
    if node.target is aten.convolution.default and node.args[6]:
        return None
    along = WINDOWS[node.target]
    rows, columns = along(node, 0), along(node, 1)
    return Placement(before.rows.window(*rows), before.columns.window(*columns))


def _weights(axis: Axis, cells: int, pixels: int, smooth: bool) -> Float[Tensor, "pixels cells"]:
    """How much of each cell goes into each pixel of a row or column; a pixel's weights sum to 1."""
    place = ((torch.arange(pixels, dtype=torch.float64, device="cpu") - axis.offset) / axis.stride).clamp(0, cells - 1)
    if not smooth:
        place = (place + 0.5).floor().clamp(max=cells - 1)
    distance = (place[:, None] - torch.arange(cells, dtype=torch.float64, device="cpu")).abs()
    return (1 - distance).clamp(min=0).float()


def _convolution(node: fx.Node, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation of a convolution along an axis."""
    weight, stride, padding, dilation = (
        _argument(node, 1, "weight"),
        _pair(_argument(node, 3, "stride", 1))[axis],
        _argument(node, 4, "padding", 0),
        _pair(_argument(node, 5, "dilation", 1))[axis],
    )
    kernel = int(weight.meta["val"].shape[2 + axis])
    if padding == "same":  # an odd pixel of padding goes to the end
        padding = dilation * (kernel - 1) // 2
    return kernel, stride, 0 if padding == "valid" else _pair(padding)[axis], dilation


def _max_pooling(node: fx.Node, axis: int) -> tuple[int, int, int, int]:
    kernel = _pair(_argument(node, 1, "kernel_size"))
    stride = _pair(_argument(node, 2, "stride", None) or kernel)
    padding, dilation = _pair(_argument(node, 3, "padding", 0)), _pair(_argument(node, 4, "dilation", 1))
    return kernel[axis], stride[axis], padding[axis], dilation[axis]


def _average_pooling(node: fx.Node, axis: int) -> tuple[int, int, int, int]:
    kernel = _pair(_argument(node, 1, "kernel_size"))
    stride = _pair(_argument(node, 2, "stride", None) or kernel)
    return kernel[axis], stride[axis], _pair(_argument(node, 3, "padding", 0))[axis], 1


def _padding(node: fx.Node, axis: int) -> tuple[int, int, int, int]:
    """Padding as an operation of its own: pairs of before and after, the last axis first."""
    before = list(_argument(node, 1, "pad"))[0::2]
    return 1, 1, int(before[1 - axis]) if len(before) > 1 - axis else 0, 1


def _argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _pair(value: Any) -> tuple[int, int]:
    """Height and width, where a single number stands for both."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    return int(values[0]), int(values[-1])


WINDOWS: dict[Any, Callable[[fx.Node, int], tuple[int, int, int, int]]] = {
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.convolution.default: _convolution,
    aten.max_pool2d.default: _max_pooling,
    aten.max_pool2d_with_indices.default: _max_pooling,
    aten.avg_pool2d.default: _average_pooling,
    aten.constant_pad_nd.default: _padding,
    aten.pad.default: _padding,
}
