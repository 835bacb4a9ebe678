"""Grids: which axes of a value are the grid of the image's cells, followed from the pixels on.

Convolutions keep rows and columns apart, channels first. Transformers join them to one axis of tokens, put channels last, and set
class and register tokens beside those of the patches. Where the graph can be followed, every value says where its cells lie.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from trojancam.network.operations import CELL_BY_CELL
from trojancam.network.placement import WINDOWS, Placement, behind_window
from trojancam.showing import Brief

aten = torch.ops.aten

CHANNELS_FIRST = (2, 3)
POSITION_BY_POSITION = {*CELL_BY_CELL, aten.layer_norm.default, aten.rms_norm.default, aten.native_layer_norm.default}


@dataclass(frozen=True)
class Grid(Brief):
    """Which axes of a value are the grid of the image's patches: rows and columns, or both in one, the tokens.

    `axes` holds one or two axes; of tokens, those of the patches begin at `start`, and others may stand beside them.
    """

    axes: tuple[int, ...]
    size: tuple[int, int]
    placement: Placement
    start: int = 0

    @property
    def patches(self) -> int:
        """How many there are."""
        return self.size[0] * self.size[1]

    @property
    def tokens(self) -> bool:
        """Whether rows and columns are one axis."""
        return len(self.axes) == 1


def find_grids(graph: fx.Graph, otherwise: Callable[[fx.Node], Grid | None] = lambda _: None) -> dict[fx.Node, Grid]:
    """The grid of every value that has one: followed from the images on, or as `otherwise` says of one that was not."""
    grids: dict[fx.Node, Grid] = {}
    for node in graph.nodes:
        grid = _grid(node, grids) or otherwise(node)
        if grid is not None:
            grids[node] = grid
    return grids


def placements(graph: fx.Graph) -> dict[fx.Node, Placement]:
    """The placement of every node that is a batch of maps and whose cells can be followed back to the image."""
    return {node: grid.placement for node, grid in find_grids(graph).items() if grid.axes == CHANNELS_FIRST}


def _grid(node: fx.Node, grids: dict[fx.Node, Grid]) -> Grid | None:
    shape = extents(node)
    if shape is not None and node.op == "placeholder":
        return Grid(CHANNELS_FIRST, (shape[2], shape[3]), Placement()) if len(shape) == 4 else None
    known = [source for source in node.all_input_nodes if source in grids]
    if shape is None or not known or node.op != "call_function":
        return None
    source, grid = known[0], grids[known[0]]
    if node.target in WINDOWS and grid.axes == CHANNELS_FIRST and len(shape) == 4:
        placement = behind_window(node, grid.placement)
        return None if placement is None else Grid(CHANNELS_FIRST, (shape[2], shape[3]), placement)
    if node.target in _FOLLOWED:
        return _FOLLOWED[node.target](node, source, grid)
    if node.target in POSITION_BY_POSITION:
        return next((grids[each] for each in known if _kept(node, each, grids[each])), None)
    return None


def goes_on(node: fx.Node) -> bool:
    """Whether an operation leaves each position what it was made of: it mixes none with others."""
    return node.target in _FOLLOWED or node.target in POSITION_BY_POSITION


def _kept(node: fx.Node, source: fx.Node, grid: Grid) -> bool:
    """Whether an operation that works at each position leaves the grid where it was."""
    before, after = extents(source) or (), extents(node) or ()
    return len(before) == len(after) and all(before[axis] == after[axis] for axis in grid.axes)


def _after_permutation(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    dimensions = len(extents(source) or ())
    order = list(range(dimensions))
    if node.target is aten.permute.default:
        order = [int(axis) % dimensions for axis in node.args[1]]  # type: ignore[union-attr, arg-type]
    else:
        one, other = (int(axis) % dimensions for axis in node.args[1:3])  # type: ignore[arg-type]
        order[one], order[other] = order[other], order[one]
    return replace(grid, axes=tuple(order.index(axis) for axis in grid.axes))


def _after_reshape(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    """Rows and columns become tokens, tokens become rows and columns, or all stays as it is."""
    before, after, axis = extents(source) or (), extents(node) or (), grid.axes[0]
    if before == after:
        return grid
    if grid.tokens:
        whole = grid.start == 0 and before[axis] == grid.patches
        split = (*before[:axis], *grid.size, *before[axis + 1 :])
        return replace(grid, axes=(axis, axis + 1)) if whole and after == split else None
    joined = (*before[:axis], grid.patches, *before[axis + 2 :])
    return replace(grid, axes=(axis,)) if grid.axes[1] == axis + 1 and after == joined else None


def _after_joining(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    """Tokens beside those of the patches move these along; other channels beside theirs change nothing."""
    parts: list[fx.Node] = node.args[0]  # type: ignore[assignment]
    axis = axis_of(node, source)
    if axis not in grid.axes:
        return grid
    before = [(extents(part) or (0,) * (axis + 1))[axis] for part in parts[: parts.index(source)]]
    return replace(grid, start=grid.start + sum(before)) if grid.tokens else None


def _after_slice(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    """All patches or none of a grid go on."""
    axis = axis_of(node, source)
    if axis not in grid.axes or extents(node) == extents(source):
        return grid
    first, last = range_of(node, source, axis)
    keeps = grid.tokens and first <= grid.start and last >= grid.start + grid.patches
    return replace(grid, start=grid.start - first) if keeps else None


def _after_linear(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    """A dense layer works on the last axis alone."""
    before, after = extents(source) or (), extents(node) or ()
    return grid if len(before) - 1 not in grid.axes and before[:-1] == after[:-1] else None


def _after_padding(node: fx.Node, source: fx.Node, grid: Grid) -> Grid | None:
    return grid if extents(node) == extents(source) else None


_FOLLOWED: dict[Any, Callable[[fx.Node, fx.Node, Grid], Grid | None]] = {
    aten.permute.default: _after_permutation,
    aten.transpose.int: _after_permutation,
    aten.reshape.default: _after_reshape,
    aten.view.default: _after_reshape,
    aten.cat.default: _after_joining,
    aten.slice.Tensor: _after_slice,
    aten.linear.default: _after_linear,
    aten.pad.default: _after_padding,
    aten.constant_pad_nd.default: _after_padding,
}


def range_of(node: fx.Node, source: fx.Node, axis: int) -> tuple[int, int]:
    """The first index that a slice or a selection takes, and the one behind its last."""
    extent = (extents(source) or ())[axis]
    given: list[Any] = [*node.args[2:4], None, None]
    if node.target is aten.select.int:
        return given[0] % extent, given[0] % extent + 1
    ends = (0 if given[0] is None else given[0], extent if given[1] is None else given[1])
    first, last = (min(max(end + extent if end < 0 else end, 0), extent) for end in ends)
    return first, last


def axis_of(node: fx.Node, source: fx.Node) -> int:
    """The axis that an operation is told to work along; the first, if it is told none."""
    axis = node.args[1] if len(node.args) > 1 else 0
    return int(axis) % len(extents(source) or (0,))  # type: ignore[arg-type]


def extents(node: fx.Node) -> tuple[int, ...] | None:
    """The extents of a value (of several, of the first), that of the images as 0; None where it has no axis for these alone."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, tuple | list) and value else value
    shape = getattr(value, "shape", ())
    if not shape or any(not isinstance(extent, int) for extent in shape[1:]):
        return None
    return (0, *shape[1:])
