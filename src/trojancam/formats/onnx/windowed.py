"""ONNX's operations that look through a window: convolutions and poolings, with all of ONNX's ways to pad."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trojancam.formats.onnx.node import Node, Operation

_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_LARGEST: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_TOO_LONG = 2**20


class Window:
    """The window of a node over maps of some extents: its kernel, strides, dilations and padding at both ends."""

    def __init__(self, node: Node, extents: Sequence[int], kernel: Sequence[int]) -> None:
        axes = len(kernel)
        if len(extents) != axes or axes not in _CONVOLUTIONS:
            raise ValueError(f"its window has {axes} axes, but the maps have {len(extents)}")
        if min(kernel) < 1:
            raise ValueError(f"its window is empty: {list(kernel)}")
        self.extents, self.kernel = [int(extent) for extent in extents], [int(extent) for extent in kernel]
        self.strides, self.dilations = node.positive("strides", axes), node.positive("dilations", axes)
        self.ceil = bool(node.integer("ceil_mode", 0))
        self.reach = [(size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True)]
        self.before, self.after = self._padding(node)

    @property
    def even(self) -> bool:
        """Whether both ends are padded alike."""
        return self.before == self.after

    @property
    def narrow(self) -> bool:
        """Whether PyTorch's poolings can pad so much themselves: half a window at most."""
        return self.even and all(2 * pad <= size for pad, size in zip(self.before, self.kernel, strict=True))

    def padded(self, x: Tensor, value: float = 0.0, beyond: Sequence[int] | None = None) -> Tensor:
        """The maps with their padding written out, and `beyond` more at the end."""
        after = [a + more for a, more in zip(self.after, beyond or [0] * len(self.after), strict=True)]
        pairs = [extent for pair in zip(reversed(self.before), reversed(after), strict=True) for extent in pair]
        return F.pad(x, pairs, value=value) if any(pairs) else x

    def beyond(self) -> list[int]:
        """How much further than the padding the last window reaches, where it may start before the end (`ceil_mode`)."""
        more = []
        for axis, extent in enumerate(self.extents):
            padded = extent + self.before[axis] + self.after[axis]
            steps = (padded - self.reach[axis]) / self.strides[axis]
            last = math.ceil(steps) if self.ceil else math.floor(steps)
            if self.ceil and last * self.strides[axis] >= extent + self.before[axis]:
                last -= 1  # a window that starts in the padding is none
            more.append(max(0, last * self.strides[axis] + self.reach[axis] - padded))
        return more

    def _padding(self, node: Node) -> tuple[list[int], list[int]]:
        mode, axes = node.text("auto_pad", "NOTSET"), len(self.kernel)
        if mode == "VALID":
            return [0] * axes, [0] * axes
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            return self._same(upper=mode == "SAME_UPPER")
        pads = node.integers("pads", [0] * 2 * axes)
        if mode not in ("NOTSET", "") or len(pads) != 2 * axes or not 0 <= min(pads) <= max(pads) < _TOO_LONG:
            raise ValueError(f"its padding is none: {mode} {pads[:8]}")
        return pads[:axes], pads[axes:]

    def _same(self, upper: bool) -> tuple[list[int], list[int]]:
        """As much padding as keeps the size at stride 1; an odd pixel goes to the end if `upper`."""
        total = [
            max(0, (math.ceil(extent / stride) - 1) * stride + reach - extent)
            for extent, stride, reach in zip(self.extents, self.strides, self.reach, strict=True)
        ]
        less, more = [extent // 2 for extent in total], [extent - extent // 2 for extent in total]
        return (less, more) if upper else (more, less)


def _convolution(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    window = Window(node, x.shape[2:], weight.shape[2:])
    x, padding = (x, window.before) if window.even else (window.padded(x), [0] * len(window.kernel))
    run = _CONVOLUTIONS[len(window.kernel)]
    result: Tensor = run(x, weight, bias, window.strides, padding, window.dilations, node.count("group", 1))
    return result


def _transposed(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The convolution the other way round: padding is cut off its result."""
    window = Window(node, x.shape[2:], weight.shape[2:])
    axes = len(window.kernel)
    if "output_shape" in node.attributes or node.text("auto_pad", "NOTSET").startswith("SAME"):
        raise ValueError("its padding follows from the size of its result, which is not supported")
    beyond = node.integers("output_padding", [0] * axes)
    run = _TRANSPOSED[axes]
    padding = window.before if window.even else [0] * axes
    result: Tensor = run(x, weight, bias, window.strides, padding, beyond, node.count("group", 1), window.dilations)
    if not window.even:
        for axis, (before, after) in enumerate(zip(window.before, window.after, strict=True), start=2):
            result = result.narrow(axis, before, result.shape[axis] - before - after)
    return result


def _max_pooling(node: Node, x: Tensor) -> Tensor:
    window = Window(node, x.shape[2:], node.integers("kernel_shape"))
    run, lowest = _LARGEST[len(window.kernel)], -math.inf
    if window.narrow:
        result: Tensor = run(x, window.kernel, window.strides, window.before, window.dilations, window.ceil)
        return result
    x = window.padded(x, lowest, window.beyond())
    largest: Tensor = run(x, window.kernel, window.strides, 0, window.dilations)
    return largest


def _average_pooling(node: Node, x: Tensor) -> Tensor:
    window = Window(node, x.shape[2:], node.integers("kernel_shape"))
    if any(step != 1 for step in window.dilations):
        raise ValueError("it averages over a window with gaps, which is not supported")
    run, with_padding = _AVERAGE[len(window.kernel)], bool(node.integer("count_include_pad", 0))
    if window.narrow:
        result: Tensor = run(x, window.kernel, window.strides, window.before, window.ceil, with_padding)
        return result
    beyond = window.beyond()
    sums: Tensor = run(window.padded(x, 0.0, beyond), window.kernel, window.strides)
    counted = window.padded(torch.ones(1, 1, *window.extents), float(with_padding))
    short = [extent for more in reversed(beyond) for extent in (0, more)]
    shares: Tensor = run(F.pad(counted, short), window.kernel, window.strides)
    return sums / shares


WINDOWS: dict[str, Operation] = {
    "AveragePool": Operation(_average_pooling, foldable=False),
    "Conv": Operation(_convolution, weights={1: "weight", 2: "bias"}, foldable=False),
    "ConvTranspose": Operation(_transposed, weights={1: "weight", 2: "bias"}, foldable=False),
    "MaxPool": Operation(_max_pooling, foldable=False),
}
