"""Channels last: graphs that permute feature maps to `n h w k` between convolutions, rewritten to `n k h w` throughout.

Keras and TensorFlow keep the channels last, PyTorch's convolutions want them first. Here a permutation is carried along:
what works cell by cell, joins maps, pads, cuts or averages them gives the same before a permutation as after it, and
where two permutations meet they cancel out. What is not known to allow that gets its maps permuted, as before.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from trojancam.network.graph import Whole, computed
from trojancam.network.operations import CONVOLUTIONS, ELEMENT_BY_ELEMENT

aten = torch.ops.aten

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
SAME_BY_ANOTHER_NAME = {
    aten.clip.default: aten.clamp.default,
    aten.clip.Tensor: aten.clamp.Tensor,
    aten.divide.Tensor: aten.div.Tensor,
    aten.multiply.Tensor: aten.mul.Tensor,
    aten.subtract.Tensor: aten.sub.Tensor,
    aten.true_divide.Tensor: aten.div.Tensor,
}
WITHOUT_EFFECT = {aten.alias.default, aten.clone.default, aten.contiguous.default}
CASTS = {aten._to_copy.default, aten.to.dtype, aten.to.dtype_layout}
REARRANGEMENTS = {aten.permute.default, aten.reshape.default, aten.view.default}


def in_channels_first(whole: fx.GraphModule) -> fx.GraphModule:
    """The same network with its feature maps in `n k h w`, its biases part of the convolutions that they belong to.

    The module it is given stays as it is; one that permutes nothing comes back itself.
    """
    if not any(node.target is aten.permute.default for node in whole.graph.nodes):
        return whole
    graph = fx.Graph()
    graph.output(graph.graph_copy(whole.graph, {}))
    changed = Whole(whole, graph)
    _know_shapes_of_weights(changed)
    _leave_out_what_has_no_effect(changed.graph)
    _put_weights_first(changed.graph)
    for node in list(changed.graph.nodes):
        if node.target in _CARRIED:
            _CARRIED[node.target](node)
    changed.graph.eliminate_dead_code()
    _rearrange_weights_once(changed)
    _take_biases_into_convolutions(changed.graph)
    _rearrange_weights_once(changed)
    changed.recompile()
    return changed


def _know_shapes_of_weights(module: fx.GraphModule) -> None:
    """Give weights a value without content, as all other nodes have one."""
    mode = next(node.meta["val"].fake_mode for node in module.graph.nodes if node.op == "placeholder")
    for node in module.graph.find_nodes(op="get_attr"):
        node.meta["val"] = mode.from_tensor(_attribute(module, node.target), static_shapes=True)


def _leave_out_what_has_no_effect(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        node.target = SAME_BY_ANOTHER_NAME.get(node.target, node.target)
        idle_cast = node.target in CASTS and node.meta["val"].dtype == _source(node).meta["val"].dtype
        if node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target in WITHOUT_EFFECT or idle_cast:
            node.replace_all_uses_with(_source(node))
            graph.erase_node(node)


def _put_weights_first(graph: fx.Graph) -> None:
    """Move what depends on weights alone to the front, so that it is known wherever it is wanted."""
    last, fixed = graph._root, set[fx.Node]()
    for node in list(graph.nodes):
        computed = node.op == "call_function" and node.all_input_nodes
        if node.op == "get_attr" or (computed and fixed.issuperset(node.all_input_nodes)):
            fixed.add(node)
            last.append(node)
            last = node


def _carry_past_elements(node: fx.Node) -> None:
    """An operation that takes each element by itself, or two arguments of which one may be broadcast."""
    sources = node.all_input_nodes
    if _dimensions(node) == 4 and any(map(_is_carried, sources)) and all(map(_can_be_first, sources)):
        firsts = {source: _first(source, node) for source in sources}
        _rewrite(node, fx.map_arg(node.args, firsts.__getitem__))


def _carry_past_joining(node: fx.Node) -> None:
    sources: Sequence[fx.Node] = _given(node, 0)
    if any(map(_is_carried, sources)) and all(_dimensions(source) == 4 for source in sources):
        firsts = [_first(source, node) for source in sources]
        _rewrite(node, (firsts, TO_LAST[_given(node, 1, 0)]))


def _carry_past_reduction(node: fx.Node) -> None:
    """A mean, sum or extreme over some axes; those that stay must come in the same order either way."""
    given, kept = _given(node, 1), _given(node, 2, False)
    if not _is_carried(_source(node)) or not isinstance(given, list | tuple):
        return
    axes = [TO_LAST[axis] for axis in given]
    stay = [axis for axis in TO_LAST if axis not in axes]
    if kept or stay == sorted(stay):
        _rewrite(node, (_first(_source(node), node), axes, *node.args[2:]), maps=bool(kept))


def _carry_past_padding(node: fx.Node) -> None:
    """Padding is given as pairs of before and after, the last axis first."""
    if not _is_carried(_source(node)):
        return
    given: list[int] = _given(node, 1)
    pairs = {TO_LAST[3 - place]: given[2 * place : 2 * place + 2] for place in range(len(given) // 2)}
    padded = [amount for axis in (3, 2, 1, 0) for amount in pairs.get(axis, (0, 0))]
    while len(padded) > 4 and padded[-2:] == [0, 0]:
        padded = padded[:-2]
    _rewrite(node, (_first(_source(node), node), padded, *node.args[2:]))


def _carry_past_slice(node: fx.Node) -> None:
    if _is_carried(_source(node)):
        axis = TO_LAST[_given(node, 1, 0)]
        _rewrite(node, (_first(_source(node), node), axis, *node.args[2:]))


def _carry_past_turning(node: fx.Node) -> None:
    """Axes turned round, as the channels are from RGB to BGR."""
    if _is_carried(_source(node)):
        _rewrite(node, (_first(_source(node), node), [TO_LAST[axis] for axis in _given(node, 1)]))


def _join_permutations(node: fx.Node) -> None:
    source, order = _source(node), [axis % len(_given(node, 1)) for axis in _given(node, 1)]
    if source.target is aten.permute.default:
        earlier = _given(source, 1)
        source, order = _source(source), [earlier[axis] % len(order) for axis in order]
    if order == sorted(order):
        node.replace_all_uses_with(source)
    else:
        node.args = (source, order)


_CARRIED: dict[Any, Callable[[fx.Node], None]] = {
    aten.permute.default: _join_permutations,
    aten.cat.default: _carry_past_joining,
    aten.flip.default: _carry_past_turning,
    aten.slice.Tensor: _carry_past_slice,
    aten.pad.default: _carry_past_padding,
    aten.constant_pad_nd.default: _carry_past_padding,
    **dict.fromkeys((aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default), _carry_past_reduction),
    **dict.fromkeys(
        (
            *(ELEMENT_BY_ELEMENT - {aten.prelu.default}),  # its slopes belong to the second axis
            *(aten.add.Scalar, aten.sub.Scalar, aten.mul.Scalar, aten.div.Scalar, aten.gt.Tensor),
        ),
        _carry_past_elements,
    ),
}


def _source(node: fx.Node) -> fx.Node:
    """What an operation works on: its first argument."""
    return cast(fx.Node, node.args[0])


def _given(node: fx.Node, place: int, default: Any = None) -> Any:
    return node.args[place] if len(node.args) > place else default


def _is_carried(node: fx.Node) -> bool:
    """Whether a value is one in `n k h w`, permuted."""
    return node.target is aten.permute.default and tuple(_given(node, 1)) == TO_LAST


def _can_be_first(node: fx.Node) -> bool:
    """Whether a value can be had in `n k h w`: maps can, and what is broadcast over maps, if its extents are known."""
    shape = node.meta["val"].shape
    return len(shape) in (0, 4) or (len(shape) < 4 and all(isinstance(extent, int) for extent in shape))


def _first(node: fx.Node, user: fx.Node) -> fx.Node:
    """A value in `n k h w`, for a user that follows it."""
    missing = 4 - _dimensions(node)
    if missing == 4:  # one number for all
        return node
    if missing:
        node = _new(aten.reshape.default, (node, [1] * missing + list(node.meta["val"].shape)), user)
    if _is_carried(node):
        return _source(node)
    permuted = _new(aten.permute.default, (node, list(TO_FIRST)), user)
    _join_permutations(permuted)
    return permuted


def _rewrite(node: fx.Node, args: tuple[Any, ...], maps: bool = True) -> None:
    """Give a node these arguments; if it gives `maps`, its users get them permuted as before."""
    node.args = args
    if maps:
        node.meta["val"] = node.meta["val"].permute(TO_FIRST)
        permuted = _new(aten.permute.default, (node, list(TO_LAST)), node.next)
        node.replace_all_uses_with(permuted, delete_user_cb=lambda user: user is not permuted)


def _new(target: Any, args: tuple[Any, ...], before: fx.Node) -> fx.Node:
    with before.graph.inserting_before(before):
        return computed(before.graph, target, args)


def _value(node: fx.Node) -> Any:
    """The value without content that a node gives."""
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: source.meta["val"])
    return cast(Callable[..., Any], node.target)(*args, **kwargs)


def _dimensions(node: fx.Node) -> int:
    return len(getattr(node.meta["val"], "shape", ()))


def _take_biases_into_convolutions(graph: fx.Graph) -> None:
    """Where a number for each map is added to what a convolution gives, and to nothing else, it is its bias."""
    (images,) = graph.find_nodes(op="placeholder")
    for node in graph.nodes:
        if node.target not in CONVOLUTIONS or len(node.users) != 1 or _given(node, 2) is not None:
            continue
        (user,) = node.users
        others = [source for source in user.all_input_nodes if source is not node]
        if user.target is not aten.add.Tensor or user.kwargs or len(others) != 1 or not others[0] < images:
            continue  # all that weights alone decide comes before the images
        if tuple(others[0].meta["val"].shape) in _shapes_of_bias(node):
            bias = _new(aten.reshape.default, (others[0], [-1]), node)
            node.args = (*node.args[:2], bias, *node.args[3:])
            user.replace_all_uses_with(node)
            graph.erase_node(user)


def _shapes_of_bias(convolution: fx.Node) -> tuple[tuple[int, ...], ...]:
    maps = int(convolution.meta["val"].shape[1])
    return (1, maps, 1, 1), (maps, 1, 1)


def _rearrange_weights_once(module: fx.GraphModule) -> None:
    """Store weights as they are used, where all users rearrange them in one and the same way."""
    names = Counter(node.target for node in module.graph.find_nodes(op="get_attr"))
    for node in module.graph.find_nodes(op="get_attr"):
        while names[node.target] == 1 and (steps := _common_rearrangement(node)):
            step = steps[0]
            rearranged = cast(Callable[..., Tensor], step.target)(_attribute(module, node.target), *step.args[1:])
            _set_attribute(module, node.target, rearranged)
            node.meta["val"] = step.meta["val"]
            for user in steps:
                user.replace_all_uses_with(node)
                module.graph.erase_node(user)


def _common_rearrangement(node: fx.Node) -> list[fx.Node]:
    users = list(node.users)
    alike = {(user.target, str(user.args[1:])) for user in users}
    return users if len(alike) == 1 and users[0].target in REARRANGEMENTS else []


def _attribute(module: nn.Module, name: str) -> Tensor:
    owner, _, attribute = name.rpartition(".")
    value: Tensor = getattr(module.get_submodule(owner), attribute)
    return value


def _set_attribute(module: nn.Module, name: str, value: Tensor) -> None:
    owner, _, attribute = name.rpartition(".")
    value = value.detach().contiguous()
    if isinstance(_attribute(module, name), nn.Parameter):
        value = nn.Parameter(value, requires_grad=False)
    setattr(module.get_submodule(owner), attribute, value)
