"""ONNX's `Resize` and `Upsample`: every new cell is a weighted sum of old ones, one axis after the other.

ONNX computes where a new cell lies from the scales, PyTorch from the sizes. With fractional scales the two differ: 5 cells
by 0.6 are 3, but 3 cells of 5 are a scale of 0.6 only by luck of the rounding. So PyTorch's own operations serve where the
sizes say the same as the scales, and what is written out here everywhere else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trojancam.formats.onnx.node import Node, Numbers, listed

Places = NDArray[Any]  # in cells of the old axis; in 32 bits, as onnxruntime computes them
Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
_ROUNDINGS: dict[str, Callable[[Places], Places]] = {
    "round_prefer_floor": lambda places: np.ceil(places - np.float32(0.5)),
    "round_prefer_ceil": lambda places: np.floor(places + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
_MAX_TAPS = 2**12  # old cells that one new cell is made of
_MAX_CELLS = 2**14  # of one axis


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized: its extents before and after, and the scale; `by_sizes` if these tell the scale."""

    old: int
    new: int
    scale: float
    by_sizes: bool


def resize(node: Node, x: Tensor, *given: Numbers | None) -> Tensor:
    """Maps at another size, by all modes but `tf_crop_and_resize`."""
    mode, where = node.text("mode", "nearest"), node.text("coordinate_transformation_mode", "half_pixel")
    if node.operation == "Upsample" or node.opset < 11:
        where, rounding = "asymmetric", "floor"
    else:
        rounding = node.text("nearest_mode", "round_prefer_floor")
    axes = _spatial_axes(node, x, given)
    by_pytorch = _by_pytorch(node, x, axes, (mode, where, rounding))
    if by_pytorch is not None:
        return by_pytorch
    for place, axis in enumerate(axes, start=2):
        if axis.new != axis.old or axis.scale != 1.0:
            x = _resized(x, place, *_taps(node, axis, mode, where, rounding))
    return x


def _by_pytorch(node: Node, x: Tensor, axes: list[_Axis], means: tuple[str, str, str]) -> Tensor | None:
    """The same by an operation of PyTorch's own, where it has one."""
    mode, where, rounding = means
    size = [axis.new for axis in axes]
    if node.integer("antialias", 0) or not all(axis.by_sizes for axis in axes):
        return None
    from_centres = where == "half_pixel" or (where == "pytorch_half_pixel" and min(size) > 1)
    if mode == "linear" and len(size) == 2 and (from_centres or where == "align_corners"):
        return F.interpolate(x, size, mode="bilinear", align_corners=where == "align_corners")
    repeated = mode == "nearest" and all(axis.new % axis.old == 0 for axis in axes)
    floors = where == "asymmetric" and rounding == "floor"
    centred = from_centres and rounding.startswith("round_prefer")
    return F.interpolate(x, size, mode="nearest") if repeated and (floors or centred) else None


def _spatial_axes(node: Node, x: Tensor, given: tuple[Numbers | None, ...]) -> list[_Axis]:
    """The axes after images and maps, which must stay as they are."""
    scales, sizes = _asked(node, given)
    named = node.integers("axes", list(range(x.ndim)))
    if not all(-x.ndim <= axis < x.ndim for axis in named):
        raise ValueError(f"it resizes the axes {named[:8]} of {x.ndim}")
    places = [axis % x.ndim for axis in named]
    asked = scales or sizes
    if len(asked) != len(places) or len(set(places)) != len(places) or x.ndim < 3:
        raise ValueError(f"it resizes to {asked[:8]}, which are not the extents of maps")
    by_place = dict(zip(places, asked, strict=True))
    unchanged = [1, 1] if scales else [None, x.shape[1]]  # the number of images is free
    if any(of is not None and by_place.get(place, of) != of for place, of in enumerate(unchanged)):
        raise ValueError(f"it resizes to {asked[:8]}, which are not the extents of maps")
    spatial = {place: value for place, value in by_place.items() if place >= 2}
    extents = {place: int(extent) for place, extent in enumerate(x.shape) if place >= 2}
    if scales:
        spatial = {place: float(value) for place, value in spatial.items()}
        return [_scaled(extent, spatial.get(place, 1.0)) for place, extent in extents.items()]
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    return _sized(extents, {place: int(value) for place, value in spatial.items()}, policy)


def _asked(node: Node, given: tuple[Numbers | None, ...]) -> tuple[list[float], list[int]]:
    """The scales or else the sizes; which input they are depends on the operator set."""
    inputs = [*given, None, None, None]
    if node.operation == "Upsample" or node.opset < 11:
        return (listed(inputs[0]) if inputs[0] is not None else list(node.attributes.get("scales", ()))), []
    return listed(inputs[1]), listed(inputs[2])


def _scaled(extent: int, scale: float) -> _Axis:
    if not (math.isfinite(scale) and 0 < scale < 2**16):
        raise ValueError(f"it resizes by {scale}")
    exact = float(np.float32(extent) * np.float32(scale))  # 10 by 0.9 are 9 in 32 bits only
    new = _checked(math.floor(exact))
    return _Axis(extent, new, scale, new == exact)


def _sized(extents: dict[int, int], sizes: dict[int, int], policy: str) -> list[_Axis]:
    """The axes for given sizes: as they are, or at one scale for all, the smallest or the largest."""
    if policy == "stretch":
        new = {place: _checked(sizes.get(place, extent)) for place, extent in extents.items()}
        return [_Axis(extent, new[place], new[place] / extent, True) for place, extent in extents.items()]
    if policy not in ("not_larger", "not_smaller"):
        raise ValueError(f"it keeps the shape of maps by {policy[:40]!r}")
    choose = min if policy == "not_larger" else max
    scale = choose(size / extents[place] for place, size in sizes.items())
    new = {
        place: _checked(math.floor(scale * extent + 0.5)) if place in sizes else extent
        for place, extent in extents.items()
    }
    scales = {place: scale if place in sizes else 1.0 for place in extents}
    return [
        _Axis(extent, new[place], scales[place], new[place] == extent * scales[place])
        for place, extent in extents.items()
    ]


def _checked(extent: int) -> int:
    if not 1 <= extent <= _MAX_CELLS:
        raise ValueError(f"it resizes maps to {extent} cells")
    return extent


def _places(axis: _Axis, where: str) -> Places:
    """Where the new cells lie, in old ones."""
    new, scale = np.arange(axis.new, dtype=np.float32), np.float32(axis.scale)
    if where == "align_corners" and not axis.by_sizes:
        raise ValueError(
            "it aligns the corners of maps whose new size is a fraction, which ONNX and onnxruntime do otherwise"
        )
    if where == "align_corners":
        return new * np.float32(axis.old - 1) / np.float32(max(1, axis.new - 1))
    if where == "asymmetric":
        return new / scale
    if where == "pytorch_half_pixel" and axis.new == 1:
        return 0 * new
    offset = np.float32(0)
    if where == "half_pixel_symmetric":
        offset = np.float32(axis.old / 2) * (1 - np.float32(axis.new) / (np.float32(axis.old) * scale))
    return offset + (new + np.float32(0.5)) / scale - np.float32(0.5)


def _taps(
    node: Node, axis: _Axis, mode: str, where: str, rounding: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each new cell the old ones that it is made of, and how much of each: two arrays of `new taps`."""
    if where not in (*_HALF_PIXEL, "align_corners", "asymmetric"):
        raise ValueError(f"it resizes by {where[:40]!r}, which is not supported")
    places = _places(axis, where)
    if mode == "nearest" and rounding in _ROUNDINGS:
        if node.operation == "Resize" and node.opset < 11 and axis.new < axis.old and np.any(places % 1):
            raise ValueError(
                "it takes the nearest cell, but operator set 10 does not say which; export with a newer one"
            )
        nearest = _ROUNDINGS[rounding](places).clip(0, axis.old - 1).astype(np.int64)
        return nearest[:, None], np.ones((axis.new, 1))
    kernels: dict[str, tuple[int, Kernel]] = {"linear": (1, _linear), "cubic": (2, _cubic(node))}
    if mode not in kernels:
        raise ValueError(f"it resizes by {mode[:40]!r}, {rounding[:40]!r}, which is not supported")
    reach, kernel = kernels[mode]
    smoothing = min(axis.scale, 1.0) if node.integer("antialias", 0) else 1.0
    before = math.ceil(reach / smoothing)
    if 2 * before > _MAX_TAPS:
        raise ValueError(f"it resizes by {axis.scale}")
    cells = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - before, before + 1)
    shares = kernel(np.abs(cells - places[:, None].astype(np.float64)) * smoothing)
    inside = (cells >= 0) & (cells < axis.old)
    if node.integer("exclude_outside", 0):
        shares = shares * inside
    if smoothing != 1.0 or node.integer("exclude_outside", 0):
        shares = shares / shares.sum(axis=1, keepdims=True)
    return cells.clip(0, axis.old - 1), shares


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(1 - distance, 0, None)


def _cubic(node: Node) -> Kernel:
    """Keys' cubic convolution."""
    a = node.number("cubic_coeff_a", -0.75)

    def kernel(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))

    return kernel


def _resized(x: Tensor, place: int, cells: NDArray[np.int64], shares: NDArray[np.float64]) -> Tensor:
    """One axis resized: for each tap the old cells in their new order, times their shares."""
    along = [-1 if axis == place else 1 for axis in range(x.ndim)]
    total: Tensor | None = None
    for tap in range(cells.shape[1]):
        taken = x.index_select(place, torch.tensor(cells[:, tap].tolist(), dtype=torch.int64))
        if cells.shape[1] == 1:
            return taken
        part = taken * torch.tensor(shares[:, tap].tolist(), dtype=torch.float32).reshape(along)
        total = part if total is None else total + part
    return x if total is None else total
