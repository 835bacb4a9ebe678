"""Tokens: feature maps of transformers, and of other networks that keep channels on the last axis.

A transformer block adds to a residual stream what its attention gives, and what its MLP gives. Each of these values has a
token for each patch of the image, beside class and register tokens. Its channels are feature maps on the grid of the patches.
They are found by what the graph does, not by names of classes: a residual addition is one whose one summand is made from the
other, and the grid of the patches is followed from the first convolution on.

The graph is rewritten so that these maps, in `n k h w`, lie on the way to the logits. They are then layers like all others:
recorded, cut at, edited.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

from trojancam.network.devices import device_of
from trojancam.network.draws import Draws
from trojancam.network.graph import Whole, computed
from trojancam.network.grids import CHANNELS_FIRST, Grid, axis_of, extents, find_grids, goes_on, range_of
from trojancam.network.independence import values
from trojancam.network.operations import ACTIVATIONS, CONVOLUTIONS, PRODUCTS
from trojancam.network.placement import stretched
from trojancam.showing import Brief

aten = torch.ops.aten

FEATURE_MAPS = "feature maps"  # of a node that is a batch of maps: the `TokenMaps` that it belongs to
MIXING = {*PRODUCTS, aten.scaled_dot_product_attention.default}
WEIGHED = {*MIXING, *CONVOLUTIONS}
EVEN = "even grids"  # of a graph: what `_even_grids` found
QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
MOST_BESIDE = 8  # class and register tokens, where the grid is known by their number alone


@dataclass(frozen=True)
class TokenMaps(Brief):
    """Feature maps that no convolution gives: what their layer is called, and where its cells lie in the image."""

    name: str
    grid: Grid


def with_feature_maps(whole: fx.GraphModule, image_size: tuple[int, int]) -> fx.GraphModule:
    """The same network, its token maps on the way to the logits as `n k h w`; one without any comes back itself.

    Nodes that are such maps say so: their `meta` has a `TokenMaps` under `FEATURE_MAPS`.
    """
    if all(residual.weighed.target in CONVOLUTIONS for residual in _residuals(whole.graph)):
        return whole  # before anything is copied: most networks end in dense layers, few have them in branches
    graph, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.output(graph.graph_copy(whole.graph, twins))
    for copied in twins.values():
        copied.meta = dict(copied.meta)
    found = _token_maps(graph, _even_grids(whole, image_size), image_size)
    if not found:
        return whole
    for node, maps in found.items():
        _as_maps(node, maps.grid).meta[FEATURE_MAPS] = maps
    return Whole(whole, graph)


def streams(whole: fx.GraphModule, image_size: tuple[int, int]) -> dict[fx.Node, Grid]:
    """The grid of every sum of a residual stream of tokens, in order."""
    residuals = list(_residuals(whole.graph))
    grids, _ = _grids(whole.graph, residuals, image_size, _even_grids(whole, image_size))
    sums = [residual.sum for residual in residuals]
    return {node: grids[node] for node in sums if node in grids and grids[node].tokens}


def _token_maps(graph: fx.Graph, even: set[str], image_size: tuple[int, int]) -> dict[fx.Node, TokenMaps]:
    """The values that are feature maps of tokens, in the order in which they are made; `even` are those of `_even_grids`.

    Of a block that adds twice under one name, the last sum is its residual stream.
    """
    residuals = list(_residuals(graph))
    grids, _ = _grids(graph, residuals, image_size, even)
    last = {_module(each.sum) or each.sum.name: each.sum for each in residuals if each.sum in grids}
    found: dict[fx.Node, str] = {}
    for residual in residuals:
        if residual.sum not in grids or residual.weighed.target in CONVOLUTIONS:
            continue  # a convolution's layer holds the sum already
        for hidden in _hidden(residual, grids):
            found[hidden] = _module(hidden.all_input_nodes[0]) or "hidden"
        found[residual.branch] = _part_of(_module(residual.sum), _module(residual.weighed))
        if residual.sum in last.values():
            found[residual.sum] = _module(residual.sum) or "sum"
    alive = [node for node in graph.nodes if node in found and _reaches_logits(node, grids)]
    return {node: TokenMaps(found[node], grids[node]) for node in alive}


@dataclass(frozen=True)
class _Residual:
    """A sum of a stream and of a branch that is made from it; `weighed` is the branch's last operation with weights."""

    sum: fx.Node
    stream: fx.Node
    branch: fx.Node
    weighed: fx.Node
    inside: tuple[fx.Node, ...]


def _residuals(graph: fx.Graph) -> Iterator[_Residual]:
    for node in graph.nodes:
        summands = node.all_input_nodes
        if node.target is not aten.add.Tensor or len(summands) != 2 or extents(summands[0]) != extents(summands[1]):
            continue
        for stream, branch in (summands, reversed(summands)):
            inside = _between(stream, branch)
            weighed = [each for each in inside if each.target in WEIGHED]
            if weighed:
                yield _Residual(node, stream, branch, weighed[-1], inside)


def _between(stream: fx.Node, branch: fx.Node) -> tuple[fx.Node, ...]:
    """What a branch is computed by from a stream, in order; nothing, where it is not."""
    if not stream < branch:
        return ()
    on_the_way, needed = {stream}, {branch}
    node = stream
    while node is not branch:
        node = node.next
        if not on_the_way.isdisjoint(node.all_input_nodes):
            on_the_way.add(node)
    if branch not in on_the_way:
        return ()
    path = []
    while node is not stream:
        if node in needed:
            needed.update(source for source in node.all_input_nodes if source in on_the_way)
            path.append(node)
        node = node.prev
    return tuple(reversed(path))


def _hidden(residual: _Residual, grids: dict[fx.Node, Grid]) -> list[fx.Node]:
    """Activations of pointwise layers in a branch that begins with a convolution, as in ConvNeXt."""
    if not any(node.target in CONVOLUTIONS for node in residual.inside):
        return []
    activations = [node for node in residual.inside if node.target in ACTIVATIONS and node in grids]
    return [node for node in activations if node.all_input_nodes[0].target in MIXING]


def _even_grids(whole: fx.GraphModule, image_size: tuple[int, int]) -> set[str]:
    """The residual streams that cannot be followed and whose cells divide the image evenly, row by row, as a trial shows.

    The trial is made once for a graph: what it showed is kept with it.
    """
    if EVEN not in whole.meta:
        _, guessed = _grids(whole.graph, list(_residuals(whole.graph)), image_size, None)
        whole.meta[EVEN] = _confirmed(whole, guessed)
    even: set[str] = whole.meta[EVEN]
    return even


def _confirmed(whole: fx.GraphModule, guessed: dict[fx.Node, Grid]) -> set[str]:
    """Those whose cells in a quarter of the grid change most where the pixels of that quarter change, for all four."""
    device = device_of((*whole.parameters(), *whole.buffers()))
    if not guessed or device.type == "meta":  # there are no numbers to compare
        return set()
    _, channels, height, width = extents(next(iter(whole.graph.find_nodes(op="placeholder")))) or (0, 0, 0, 0)
    draws = Draws(0, device)
    images, others = (4 * draws.uniform(1, channels, height, width) - 2 for _ in range(2))
    images = images.repeat(1 + len(QUARTERS), 1, 1, 1)
    for place, (rows, columns) in enumerate(QUARTERS, start=1):
        images[place, :, _half(height, rows), _half(width, columns)] = others[
            0, :, _half(height, rows), _half(width, columns)
        ]
    with torch.inference_mode(False), torch.no_grad():
        found = dict(values(whole, images, set(guessed)))
    return {node.name for node, value in found.items() if _local(_maps_of(value, guessed[node]))}


def _maps_of(value: Tensor, grid: Grid) -> Float[Tensor, "n k h w"]:
    if not grid.tokens:
        return value.permute(0, 3, 1, 2)
    maps: Tensor = value[:, grid.start : grid.start + grid.patches].transpose(1, 2).unflatten(2, grid.size)
    return maps


def _local(maps: Float[Tensor, "n k h w"]) -> bool:
    changes = (maps[1:] - maps[:1]).abs().sum(1)
    height, width = changes.shape[1:]
    inside = [changes[:, _half(height, rows), _half(width, columns)].mean((1, 2)) for rows, columns in QUARTERS]
    return torch.stack(inside).argmax(0).tolist() == list(range(len(QUARTERS)))


def _half(extent: int, second: int) -> slice:
    return slice((extent + 1) // 2, None) if second else slice(0, extent // 2)


def _grids(
    graph: fx.Graph, residuals: list[_Residual], image_size: tuple[int, int], even: set[str] | None
) -> tuple[dict[fx.Node, Grid], dict[fx.Node, Grid]]:
    """The grid of every value that has one, and those of residual streams that are only known by their shape.

    Of the latter, those of these names are taken; all, where none are named.
    """
    sums = {residual.sum: residual for residual in residuals}
    guessed: dict[fx.Node, Grid] = {}

    def otherwise(node: fx.Node) -> Grid | None:
        if node not in sums or (even is not None and node.name not in even):
            return None
        grid = _by_shape(sums[node], image_size)
        if grid is not None:
            guessed[node] = grid
        return grid

    grids = find_grids(graph, otherwise)
    for residual in residuals:
        if residual.sum in grids:
            grids.setdefault(residual.stream, grids[residual.sum])
            grids.setdefault(residual.branch, grids[residual.sum])
    return grids, guessed


def _by_shape(residual: _Residual, image_size: tuple[int, int]) -> Grid | None:
    """The grid of a residual stream that cannot be followed, if its patches divide the image evenly, channels last."""
    shape = extents(residual.sum) or ()
    if residual.weighed.target in CONVOLUTIONS:
        return None
    if len(shape) == 4:
        return Grid((1, 2), (shape[1], shape[2]), stretched((shape[1], shape[2]), image_size))
    if len(shape) != 3:
        return None
    size = _evenly(shape[1], image_size)
    return None if size is None else Grid((1,), size, stretched(size, image_size), shape[1] - size[0] * size[1])


def _evenly(tokens: int, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of square patches, one for each token but a few; None where there are none."""
    for patches in range(tokens, max(3, tokens - MOST_BESIDE - 1), -1):
        rows = math.isqrt(patches * image_size[0] // image_size[1])
        if rows and patches % rows == 0 and rows * image_size[1] == patches // rows * image_size[0]:
            return rows, patches // rows
    return None


def _reaches_logits(node: fx.Node, grids: dict[fx.Node, Grid]) -> bool:
    """Whether patches can matter: behind the last attention, a network that reads its class token drops them."""
    waiting, seen = [node], {node}
    while waiting:
        here = waiting.pop()
        grid = grids[here]
        for user in here.users:
            if user in seen or _drops_patches(user, here, grid):
                continue
            if not grid.tokens or user not in grids or not goes_on(user):
                return True
            seen.add(user)
            waiting.append(user)
    return False


def _drops_patches(user: fx.Node, source: fx.Node, grid: Grid) -> bool:
    if (
        not grid.tokens
        or user.target not in (aten.select.int, aten.slice.Tensor)
        or axis_of(user, source) != grid.axes[0]
    ):
        return False
    first, last = range_of(user, source, grid.axes[0])
    return last <= grid.start or first >= grid.start + grid.patches


def _as_maps(node: fx.Node, grid: Grid) -> fx.Node:
    """Put a value's maps on the way from it to its users; the node that is these maps."""
    shape, users = extents(node) or (), list(node.users)
    if grid.axes == CHANNELS_FIRST:
        return node
    with node.graph.inserting_before(node.next):
        if grid.tokens:
            before, patches, behind = _split(node, grid, shape[grid.axes[0]])
            last = new_node(aten.permute.default, patches, [0, 2, 1]) if grid.axes == (1,) else patches
            maps = new_node(aten.unflatten.int, last, 2, list(grid.size))
            flat = new_node(aten.flatten.using_ints, maps, 2)
            back = new_node(aten.permute.default, flat, [0, 2, 1]) if grid.axes == (1,) else flat
            beside = [part for part in (before, back, behind) if part is not None]
            value = new_node(aten.cat.default, beside, grid.axes[0]) if len(beside) > 1 else back
        else:
            maps = new_node(aten.permute.default, node, [0, 3, 1, 2])
            value = new_node(aten.permute.default, maps, [0, 2, 3, 1])
    for user in users:
        user.replace_input_with(node, value)
    return maps


def _split(node: fx.Node, grid: Grid, tokens: int) -> tuple[fx.Node | None, fx.Node, fx.Node | None]:
    """The tokens before the patches, those of the patches, and those behind them."""
    axis, stop = grid.axes[0], grid.start + grid.patches
    if tokens == grid.patches:
        return None, node, None
    before = new_node(aten.slice.Tensor, node, axis, 0, grid.start) if grid.start else None
    patches = new_node(aten.slice.Tensor, node, axis, grid.start, stop)
    return before, patches, new_node(aten.slice.Tensor, node, axis, stop, tokens) if stop < tokens else None


def new_node(target: Any, *args: Any) -> fx.Node:
    """A node of an operation, in the graph of its first argument, which knows its value's shape."""
    source = args[0][0] if isinstance(args[0], list) else args[0]
    return computed(source.graph, target, args)


def _module(node: fx.Node) -> str:
    """The module whose own code asks for an operation; the whole network's own is called nothing."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    return next(reversed(list(stack.values())), ("", None))[0].split("@")[0]


def _part_of(module: str, inner: str) -> str:
    """The part of a module that an inner one belongs to, `blocks.0.mlp` of `blocks.0` and `blocks.0.mlp.fc2`."""
    prefix = f"{module}." if module else ""
    inside = inner.removeprefix(prefix)
    return f"{prefix}{inside.split('.')[0]}" if inner.startswith(prefix) and inside else inner or "branch"
