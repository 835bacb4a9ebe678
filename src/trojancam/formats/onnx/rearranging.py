"""ONNX's operations that rearrange: shapes, slices, joins, and whatever is computed of shapes."""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trojancam.formats.onnx.node import MAX_NUMBERS, Node, Numbers, Operation, Value, as_numbers, listed
from trojancam.formats.onnx.resizing import resize

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _axis(axis: Any, axes: int) -> int:
    if not isinstance(axis, int) or not -axes <= axis < axes:
        raise ValueError(f"it names the axis {axis} of {axes}")
    return axis % axes


def _axes(node: Node, given: Numbers | None, axes: int) -> list[int] | None:
    """The axes that a node names: an attribute or, later, an input."""
    named = listed(given) if given is not None else node.attributes.get("axes")
    return None if named is None else sorted(_axis(axis, axes) for axis in named)


def _reshape(node: Node, x: Tensor, shape: Numbers) -> Tensor:
    extents = listed(shape)
    if not node.integer("allowzero", 0):
        if any(extent == 0 for extent in extents[x.ndim :]):
            raise ValueError(f"it keeps the extent of an axis that its {x.ndim} axes do not have")
        extents = [x.shape[place] if extent == 0 else extent for place, extent in enumerate(extents)]
    return x.reshape(extents)


def _reshape_numbers(_: Node, x: Numbers, shape: Numbers) -> Numbers:
    return x.reshape([int(extent) for extent in listed(shape)])


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.integer("axis", 1)
    axis += x.ndim if axis < 0 else 0
    if axis == 1:
        return x.flatten(1) if x.ndim > 1 else x.unsqueeze(1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.integers("perm", list(reversed(range(x.ndim)))))


def _squeeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    places = _axes(node, axes, x.ndim)
    for place in reversed(places if places is not None else [i for i, extent in enumerate(x.shape) if extent == 1]):
        if x.shape[place] != 1:
            raise ValueError(f"it removes the axis {place}, which is {x.shape[place]} long (made for one image only?)")
        x = x.squeeze(place)
    return x


def _squeeze_numbers(node: Node, x: Numbers, axes: Numbers | None = None) -> Numbers:
    places = _axes(node, axes, x.ndim)
    return x.squeeze(None if places is None else tuple(places))


def _unsqueeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    named = listed(axes) if axes is not None else node.integers("axes")
    for place in sorted(_axis(axis, x.ndim + len(named)) for axis in named):
        x = x.unsqueeze(place)
    return x


def _unsqueeze_numbers(node: Node, x: Numbers, axes: Numbers | None = None) -> Numbers:
    named = listed(axes) if axes is not None else node.integers("axes")
    return np.expand_dims(x, tuple(_axis(axis, x.ndim + len(named)) for axis in named))


def _slices(node: Node, shape: Any, given: tuple[Numbers | None, ...]) -> list[tuple[int, slice]]:
    """By axis, which part of it; whole numbers beyond the ends mean the ends."""
    if node.opset < 10:
        starts, ends = node.integers("starts"), node.integers("ends")
        axes, steps = node.integers("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = listed(given[0]), listed(given[1])
        axes = listed(given[2] if len(given) > 2 else None, range(len(starts)))
        steps = listed(given[3] if len(given) > 3 else None, [1] * len(starts))
    parts = zip(axes, starts, ends, steps, strict=True)
    return [(_axis(axis, len(shape)), slice(*_ends(start, end, step))) for axis, start, end, step in parts]


def _ends(start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    """Python's way to write a slice: an end before the first element of a backward one is None."""
    if step == 0:
        raise ValueError("it goes in steps of 0")
    return start, None if isinstance(end, int) and (end < -(2**31) or end > 2**31) else end, step


def _slice(node: Node, x: Tensor, *given: Numbers | None) -> Tensor:
    for axis, part in _slices(node, x.shape, given):
        if part.step > 0:
            x = x[(slice(None),) * axis + (part,)]
        else:
            places = range(int(x.shape[axis]))[part]
            x = x.index_select(axis, torch.arange(places.start, places.stop, places.step))
    return x


def _slice_numbers(node: Node, x: Numbers, *given: Numbers | None) -> Numbers:
    for axis, part in _slices(node, x.shape, given):
        x = x[(slice(None),) * axis + (part,)]
    return x


def _gather(node: Node, x: Tensor, places: Numbers) -> Tensor:
    axis = _axis(node.integer("axis", 0), x.ndim)
    extent, indices = x.shape[axis], listed(places)
    if isinstance(extent, int) and not all(-extent <= place < extent for place in indices):
        raise ValueError(f"it takes what lies beyond the {extent} there are")
    wrapped = [place + extent if place < 0 else place for place in indices]
    if places.ndim == 0:
        return x.select(axis, indices[0])
    chosen = x.index_select(axis, torch.tensor(wrapped, dtype=torch.int64))
    return chosen.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _gather_numbers(node: Node, x: Numbers, places: Numbers) -> Numbers:
    return np.asarray(x.take(places.astype(np.int64), axis=node.integer("axis", 0)), dtype=object)


def _concat(node: Node, *values: Tensor) -> Tensor:
    return torch.cat(values, _axis(node.integer("axis", 1), values[0].ndim))


def _split(node: Node, x: Tensor, lengths: Numbers | None = None) -> tuple[Tensor, ...]:
    axis = _axis(node.integer("axis", 0), x.ndim)
    given = listed(lengths) if lengths is not None else node.attributes.get("split")
    if given is not None:
        return torch.split(x, [int(length) for length in given], axis)
    parts = len(node.outputs)
    return torch.split(x, -(-int(x.shape[axis]) // parts), axis)


def _expand(_: Node, x: Tensor, shape: Numbers) -> Tensor:
    extents = listed(shape)
    short = x.ndim - len(extents)
    if short > 0:
        extents = [1] * short + extents
    own = [1] * (len(extents) - x.ndim) + list(x.shape)
    return x.expand([mine if wanted == 1 else wanted for mine, wanted in zip(own, extents, strict=True)])


def _tile(_: Node, x: Tensor, repeats: Numbers) -> Tensor:
    return x.repeat(listed(repeats))


def _shape(node: Node, x: Value) -> Numbers:
    extents = list(x.shape)
    start, end = node.integer("start", 0), node.attributes.get("end")
    return as_numbers(extents[start:end])


def _size(_: Node, x: Value) -> Numbers:
    return as_numbers([math.prod(x.shape)]).reshape(())


def _constant_of_shape(node: Node, shape: Numbers) -> Value:
    value, extents = node.attributes.get("value"), listed(shape)
    filling = value.item() if isinstance(value, Tensor) else 0.0
    if all(isinstance(extent, int) for extent in extents) and 0 <= math.prod(extents) <= 64 and type(filling) is int:
        return as_numbers([filling] * math.prod(extents)).reshape(extents)
    dtype = value.dtype if isinstance(value, Tensor) else torch.float32
    return torch.full(extents, filling, dtype=dtype)


def _range(_: Node, start: Numbers, limit: Numbers, step: Numbers) -> Value:
    first, last, by = (numbers.item() for numbers in (start, limit, step))
    if all(isinstance(number, int) for number in (first, last, by)):
        places = range(first, last, by)
        if len(places) > MAX_NUMBERS:
            raise ValueError(f"it counts to {last}, further than any network")
        return as_numbers(list(places))
    if not (last - first) / by < MAX_NUMBERS:
        raise ValueError(f"it counts to {last}, further than any network")
    return torch.arange(first, last, by)


def _pad(
    node: Node, x: Tensor, pads: Numbers | None = None, value: Numbers | None = None, axes: Numbers | None = None
) -> Tensor:
    """ONNX lists all first ends, then all last ones; PyTorch pairs, the last axis first."""
    mode = _MODES.get(node.text("mode", "constant"))
    extents = listed(pads) if node.opset >= 11 else node.integers("pads")
    places = [_axis(axis, x.ndim) for axis in listed(axes, range(x.ndim))]
    if mode is None or len(extents) != 2 * len(places):
        raise ValueError("its padding is none")
    pairs = [[0, 0] for _ in range(x.ndim)]
    for place, before, after in zip(places, extents[: len(places)], extents[len(places) :], strict=True):
        pairs[place] = [before, after]
    filling = value.item() if value is not None else node.number("value", 0.0)
    if mode == "constant":
        return F.pad(x, [extent for pair in reversed(pairs) for extent in pair], value=filling)
    if any(any(pair) for pair in pairs[:2]):
        raise ValueError(f"it pads images or maps by {node.text('mode', '')!r}")
    return F.pad(x, [extent for pair in reversed(pairs[2:]) for extent in pair], mode)


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node.count("blocksize", 0)
    if node.text("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    maps, height, width = x.shape[1:]
    x = x.reshape(-1, block, block, maps // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(-1, maps // block**2, height * block, width * block)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node.count("blocksize", 0)
    maps, height, width = x.shape[1:]
    if node.text("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, block)
    x = x.reshape(-1, maps, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(-1, maps * block**2, height // block, width // block)


def _constant(node: Node) -> Value:
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, Tensor):
            return value
        if name in ("value_float", "value_int"):
            return torch.tensor(value)
        if name in ("value_floats", "value_ints"):
            return torch.tensor(list(value), dtype=torch.float32 if name == "value_floats" else torch.int64)
    raise ValueError("it holds no numbers")


SHAPES: dict[str, Operation] = {
    "Concat": Operation(
        _concat,
        on_numbers=lambda node, *values: np.concatenate(values, node.integer("axis", 0)),
    ),
    "Constant": Operation(_constant),
    "ConstantOfShape": Operation(_constant_of_shape, known=(0,)),
    "DepthToSpace": Operation(_depth_to_space),
    "Expand": Operation(_expand, known=(1,)),
    "Flatten": Operation(_flatten),
    "Gather": Operation(_gather, known=(1,), on_numbers=_gather_numbers),
    "Pad": Operation(_pad, known=(1, 2, 3)),
    "Range": Operation(_range, known=(0, 1, 2)),
    "Reshape": Operation(_reshape, known=(1,), on_numbers=_reshape_numbers),
    "Resize": Operation(resize, known=(1, 2, 3)),
    "Shape": Operation(_shape, on_numbers=_shape),
    "Size": Operation(_size, on_numbers=_size),
    "Slice": Operation(_slice, known=(1, 2, 3, 4), on_numbers=_slice_numbers),
    "SpaceToDepth": Operation(_space_to_depth),
    "Split": Operation(_split, known=(1,)),
    "Squeeze": Operation(_squeeze, known=(1,), on_numbers=_squeeze_numbers),
    "Tile": Operation(_tile, known=(1,)),
    "Transpose": Operation(
        _transpose,
        on_numbers=lambda node, x: x.transpose(node.integers("perm", list(reversed(range(x.ndim))))),
    ),
    "Unsqueeze": Operation(_unsqueeze, known=(1,), on_numbers=_unsqueeze_numbers),
    "Upsample": Operation(resize, known=(1,)),
}
