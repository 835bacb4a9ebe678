"""Functional graphs: what the exporter gives, without operations that change a tensor in place.

PyTorch makes a graph functional by tracing it once more, which takes twice as long as exporting it. Most classifiers are
made of operations which that leaves as they are, and of a few that it replaces in a known way. These few are replaced
here, to the same graph. A graph with any other operation is traced once more.
"""

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from trojancam.network.graph import computed

aten = torch.ops.aten

_UNTOUCHED = {
    operator.getitem,
    aten._softmax.default,
    aten.adaptive_avg_pool2d.default,
    aten.add.Tensor,
    aten.avg_pool2d.default,
    aten.cat.default,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.div.Tensor,
    aten.elu.default,
    aten.gelu.default,
    aten.group_norm.default,
    aten.hardsigmoid.default,
    aten.hardswish.default,
    aten.hardtanh.default,
    aten.layer_norm.default,
    aten.leaky_relu.default,
    aten.linear.default,
    aten.max_pool2d.default,
    aten.mean.dim,
    aten.mul.Tensor,
    aten.pad.default,
    aten.permute.default,
    aten.relu.default,
    aten.sigmoid.default,
    aten.silu.default,
    aten.softmax.int,
    aten.sub.Tensor,
    aten.sym_size.int,
    aten.tanh.default,
    aten.transpose.int,
    aten.upsample_nearest2d.vec,
    aten.view.default,
}
_IN_PLACE = {
    aten.add_.Tensor: aten.add.Tensor,
    aten.elu_.default: aten.elu.default,
    aten.hardsigmoid_.default: aten.hardsigmoid.default,
    aten.hardswish_.default: aten.hardswish.default,
    aten.hardtanh_.default: aten.hardtanh.default,
    aten.leaky_relu_.default: aten.leaky_relu.default,
    aten.relu_.default: aten.relu.default,
    aten.silu_.default: aten.silu.default,
}
# What gives a tensor of its own: changing it changes no other.
_NEW = {
    *_IN_PLACE,
    *_IN_PLACE.values(),
    aten.avg_pool2d.default,
    aten.batch_norm.default,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.linear.default,
    aten.max_pool2d.default,
}


def functional(program: ExportedProgram) -> fx.GraphModule:
    """The program's graph without in-place operations, on a copy of its weights."""
    traced: fx.GraphModule = program.module(check_guards=False)
    if is_known(traced):
        return without_changes_in_place(copy.deepcopy(traced))
    decomposed: fx.GraphModule = copy.deepcopy(program.run_decompositions({}).module(check_guards=False))
    return decomposed


def is_known(whole: fx.GraphModule) -> bool:
    """Whether each of its operations is left as it is, or is replaced here."""
    return all(_is_known(node) for node in whole.graph.nodes if node.op == "call_function")


def may_be_known(operation: Any) -> bool:
    """Whether an operation is known where it is called in the usual way."""
    return operation in _UNTOUCHED or operation in _IN_PLACE or operation in _REPLACED


def without_changes_in_place(whole: fx.GraphModule) -> fx.GraphModule:
    """The same graph of known operations, changed here, in which nothing is changed in place any more."""
    for node in [node for node in whole.graph.nodes if node.op == "call_function"]:
        with whole.graph.inserting_before(node):
            if node.target in _IN_PLACE:
                _instead(node, _called(node, _IN_PLACE[node.target], *node.args))
            elif node.target in _REPLACED:
                _REPLACED[node.target][1](node)
    whole.recompile()
    return whole


def _is_known(node: fx.Node) -> bool:
    if node.target in _IN_PLACE:
        source = node.args[0]
        alone = isinstance(source, fx.Node) and source.target in _NEW and list(source.users) == [node]
        return alone and not node.kwargs
    return node.target in _UNTOUCHED or (node.target in _REPLACED and _REPLACED[node.target][0](node))


def _is_dropout_in_evaluation(node: fx.Node) -> bool:
    return _arguments(node)["train"] is False


def _copied(node: fx.Node) -> None:
    """Dropout in evaluation gives a copy."""
    _instead(node, _called(node, aten.clone.default, node.args[0]))


def _is_normalised_by_kept_statistics(node: fx.Node) -> bool:
    given = _arguments(node)
    kept = all(isinstance(given[name], fx.Node) for name in ("running_mean", "running_var"))
    return kept and given["training"] is False


def _normalised(node: fx.Node) -> None:
    """Batch normalisation in evaluation is the first result of the operation that has no other mode."""
    given = _arguments(node)
    names = ("input", "weight", "bias", "running_mean", "running_var", "momentum", "eps")
    several = _called(node, aten._native_batch_norm_legit_no_training.default, *(given[name] for name in names))
    first = _called(node, operator.getitem, several, 0)
    _instead(node, first)


def _is_flattened_image_by_image(node: fx.Node) -> bool:
    given, value = _arguments(node), _value(node.args[0])
    if not isinstance(value, Tensor) or value.ndim < 3 or not value.is_contiguous():
        return False
    whole_image = given["start_dim"] == 1 and given["end_dim"] in (-1, value.ndim - 1)
    static = all(isinstance(extent, int) for extent in value.shape[1:])
    return whole_image and static and str(value.shape[0]) == str(_images(node.graph).meta["val"].shape[0])


def _viewed(node: fx.Node) -> None:
    """Flattening is a view as one row of numbers for each image."""
    graph, images = node.graph, _images(node.graph)
    source: Any = node.args[0]
    extents = [
        each for each in graph.find_nodes(op="call_function", target=aten.sym_size.int) if each.args == (images, 0)
    ]
    if extents:
        number = extents[0]
    else:
        with graph.inserting_after(images):
            number = graph.call_function(aten.sym_size.int, (images, 0))
            number.meta["val"] = images.meta["val"].shape[0]
    row = source.meta["val"].shape[1:].numel()
    _instead(node, _called(node, aten.view.default, source, [number, row]))


def _is_reshaped_in_place(node: fx.Node) -> bool:
    value = _value(node.args[0])
    return isinstance(value, Tensor) and value.is_contiguous() and not node.kwargs


def _seen(node: fx.Node) -> None:
    """Numbers that lie one after another are seen in another shape, not copied."""
    _instead(node, _called(node, aten.view.default, *node.args))


def _is_of_that_type(node: fx.Node) -> bool:
    value = _value(node.args[0])
    return isinstance(value, Tensor) and node.args[1:] == (value.dtype,) and not node.kwargs


def _left_out(node: fx.Node) -> None:
    """A conversion to the type that a tensor has gives this tensor."""
    source: Any = node.args[0]
    _instead(node, source)


def _is_checked_by_name(node: fx.Node) -> bool:
    return len(node.args) == 1 and set(node.kwargs) <= {"dtype", "device", "layout"}


def _checked(node: fx.Node) -> None:
    """A check of a tensor's type says the type by its place."""
    named = dict(node.kwargs)
    node.args = (node.args[0], None, None, named.pop("dtype", None))
    node.kwargs = named


_REPLACED: dict[Any, tuple[Callable[[fx.Node], bool], Callable[[fx.Node], None]]] = {
    aten._assert_tensor_metadata.default: (_is_checked_by_name, _checked),
    aten.batch_norm.default: (_is_normalised_by_kept_statistics, _normalised),
    aten.dropout.default: (_is_dropout_in_evaluation, _copied),
    aten.flatten.using_ints: (_is_flattened_image_by_image, _viewed),
    aten.reshape.default: (_is_reshaped_in_place, _seen),
    aten.to.dtype: (_is_of_that_type, _left_out),
}


def _arguments(node: fx.Node) -> dict[str, Any]:
    """What an operation is given, by name, with the values that its schema gives where it is given none."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return given | dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs


def _value(source: Any) -> Any:
    """What a node gives, as far as the exporter knows."""
    return source.meta.get("val") if isinstance(source, fx.Node) else None


def _images(graph: fx.Graph) -> fx.Node:
    found: fx.Node = graph.find_nodes(op="placeholder")[0]
    return found


def _called(instead_of: fx.Node, target: Any, *args: Any) -> fx.Node:
    name = getattr(target, "overloadpacket", target).__name__
    node = computed(instead_of.graph, target, args, name)
    node.meta = {**instead_of.meta, **node.meta}
    return node


def _instead(node: fx.Node, replacement: fx.Node) -> None:
    node.replace_all_uses_with(replacement)
    node.graph.erase_node(node)
