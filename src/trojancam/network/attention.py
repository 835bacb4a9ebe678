"""Attention: how much each token of a transformer takes from each other one, in every head.

The exporter writes attention as one operation that keeps its weights to itself, or as a softmax. Here the weights are computed
where the graph can be asked for them. They are found by what the graph does: a softmax over the keys whose queries and keys are
all tokens of the residual stream that the result is added to. Attention within windows, of a few queries, or with a mask that
leaves keys out is none of these.

A head is a feature map as well: what each patch is given by the mean query. As a layer it lies on the way to the logits, so that
it can be recorded, explained and edited. An edit scales what every query takes from that patch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

from trojancam.network import graph as graphs
from trojancam.network.batches import Footprint, footprint
from trojancam.network.grids import Grid, extents
from trojancam.network.layers import module_name
from trojancam.network.tokens import FEATURE_MAPS, TokenMaps, new_node, streams
from trojancam.showing import Brief

aten = torch.ops.aten

HEADS = "heads"  # what the layer of an attention's heads is called, after its module
_SOFTMAX = {aten.softmax.int, aten._softmax.default}
_TINY = torch.finfo(torch.float32).tiny

Weights = Float[Tensor, "n heads queries keys"]
Stream = Float[Tensor, "n tokens k"]


@dataclass(frozen=True)
class AttentionBlock(Brief):
    """Attention of all tokens to all tokens: the nodes of its weights and of the residual stream that its block ends with."""

    name: str
    weights: str
    stream: str
    heads: int
    grid: Grid


@dataclass(frozen=True)
class Attending(Brief):
    """A network whose graph gives the weights of its attention; `blocks` are those of all tokens, in order.

    `others` is how many more attentions it has, which are none of all tokens to all tokens.
    """

    whole: fx.GraphModule
    blocks: tuple[AttentionBlock, ...]
    others: int = 0

    def __call__(
        self, inputs: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n classes"], tuple[Weights, ...], tuple[Stream, ...]]:
        """Logits, the weights of every block and the stream behind it, of normalised inputs; gradients flow."""
        logits, *values = self._run(inputs)
        return logits, tuple(values[: len(self.blocks)]), tuple(values[len(self.blocks) :])

    def logits_of(self, stream: Stream) -> Float[Tensor, "n classes"]:
        """What the network makes of a stream when nothing but its end follows: what comes after the last block."""
        logits: Tensor = self._end(stream)[0]
        return logits

    @property
    def one_stream(self) -> bool:
        """Whether all attention is of the same tokens, and the end of the network sees nothing but these."""
        if not self.blocks or self.others:
            return False
        alike = len({(block.grid.start, block.grid.size) for block in self.blocks}) == 1
        return alike and len(self._shapes) == 1 and not graphs.crossing(self.whole, self.blocks[-1].stream)

    @cached_property
    def footprint(self) -> Footprint:
        """The bytes that one image takes."""
        return footprint(self.whole.graph)

    @property
    def _shapes(self) -> set[tuple[int, ...] | None]:
        names = {block.stream for block in self.blocks}
        return {extents(node) for node in self.whole.graph.nodes if node.name in names}

    @cached_property
    def _run(self) -> fx.GraphModule:
        nodes = [block.weights for block in self.blocks] + [block.stream for block in self.blocks]
        return graphs.returning(self.whole, [graphs.logits_node(self.whole).name, *nodes])

    @cached_property
    def _end(self) -> fx.GraphModule:
        return graphs.suffix(self.whole, self.blocks[-1].stream, [graphs.logits_node(self.whole).name])


def attending(whole: fx.GraphModule, image_size: tuple[int, int]) -> Attending:
    """The same network, the weights of its attention written out; one without such attention comes back itself."""
    found = _candidates(whole, image_size)
    if not found:
        return Attending(whole, ())
    graph, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.output(graph.graph_copy(whole.graph, twins))
    for copied in twins.values():
        copied.meta = dict(copied.meta)
    blocks = []
    for each in found:
        weights = _written_out(twins[each.node])
        heads = (extents(weights) or (0, 0))[1]
        name = f"{module_name(each.node)}.{HEADS}"
        blocks.append(AttentionBlock(name, weights.name, twins[each.stream].name, heads, each.grid))
    attention = sum(_is_attention(node) for node in whole.graph.nodes)
    return Attending(graphs.Whole(whole, graph), tuple(blocks), attention - len(blocks))


def with_heads(whole: fx.GraphModule, image_size: tuple[int, int]) -> fx.GraphModule:
    """The same network, its heads as feature maps on the way to the logits; one without attention comes back itself."""
    found = attending(whole, image_size)
    by_name = {node.name: node for node in found.whole.graph.nodes}
    for block in found.blocks:
        maps = _as_maps(by_name[block.weights], block.grid)
        maps.meta[FEATURE_MAPS] = TokenMaps(block.name, block.grid)
    if found.blocks:
        found.whole.recompile()
    return found.whole


@dataclass(frozen=True)
class _Candidate(Brief):
    node: fx.Node
    stream: fx.Node
    grid: Grid


def _candidates(whole: fx.GraphModule, image_size: tuple[int, int]) -> list[_Candidate]:
    """Every attention of all tokens to all tokens, with the last sum of their stream before the next one."""
    place = {node: number for number, node in enumerate(whole.graph.nodes)}
    attention = [node for node in place if node.op == "call_function" and _tokens(node)]
    if not attention:
        return []
    grids = streams(whole, image_size)
    found = []
    for node, following in zip(attention, [*attention[1:], None], strict=True):
        until = len(place) if following is None else place[following]
        behind = [
            each
            for each in grids
            if place[node] < place[each] < until and (extents(each) or (0, 0))[1] == _tokens(node)
        ]
        if behind:
            found.append(_Candidate(node, behind[-1], grids[behind[-1]]))
    return found


def _is_attention(node: fx.Node) -> bool:
    """Whether a node is a softmax over the last of four axes, or the operation that has one inside."""
    softmax = node.target in _SOFTMAX and len(extents(node) or ()) == 4 and node.args[1] in (3, -1)
    return softmax or node.target is aten.scaled_dot_product_attention.default


def _tokens(node: fx.Node) -> int:
    """How many tokens attend to each other; 0 if a node is no attention of all tokens to all tokens."""
    if not _is_attention(node):
        return 0
    if node.target in _SOFTMAX:
        shape = extents(node) or ()
        return shape[3] if shape[2] == shape[3] else 0
    if not _plain(node):
        return 0
    queries, keys = (extents(source) or () for source in node.args[:2])  # type: ignore[arg-type]
    return queries[2] if len(queries) == 4 and queries[:3] == keys[:3] else 0


def _plain(node: fx.Node) -> bool:
    """Whether every query sees every key, through no mask but a bias that is added, with a head of keys for each of queries."""
    mask = _argument(node, 3, "attn_mask")
    added = mask is None or (isinstance(mask, fx.Node) and mask.meta["val"].is_floating_point())
    return added and not _argument(node, 5, "is_causal") and not node.kwargs.get("enable_gqa")


def _argument(node: fx.Node, position: int, name: str) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def _written_out(node: fx.Node) -> fx.Node:
    """The node of the weights: the softmax itself, or one that takes the place of what keeps them to itself."""
    if node.target in _SOFTMAX:
        return node
    queries, keys, values = node.args[:3]
    scale, mask = node.kwargs.get("scale"), _argument(node, 3, "attn_mask")
    width = (extents(queries) or ())[3]  # type: ignore[arg-type]
    with node.graph.inserting_before(node):
        turned = new_node(aten.transpose.int, keys, -2, -1)
        product = new_node(aten.matmul.default, queries, turned)
        scaled = new_node(aten.mul.Tensor, product, width**-0.5 if scale is None else scale)
        shifted = scaled if mask is None else new_node(aten.add.Tensor, scaled, mask)
        weights = new_node(aten.softmax.int, shifted, -1)
        result = new_node(aten.matmul.default, weights, values)
    result.meta = {**node.meta, "val": result.meta["val"]}
    node.replace_all_uses_with(result)
    node.graph.erase_node(node)
    return weights


def _as_maps(weights: fx.Node, grid: Grid) -> fx.Node:
    """Put what the mean query takes from each patch, `n heads h w`, on the way from the weights to their users.

    `p'_qk = p_qk m'_k / m_k`, where `m_k` is the mean of `p_qk` over the queries, and `m'_k` what it is edited to.
    """
    users, start, stop = list(weights.users), grid.start, grid.start + grid.patches
    tokens = (extents(weights) or ())[3]
    with weights.graph.inserting_before(weights.next):
        patches = new_node(aten.slice.Tensor, weights, 3, start, stop)
        mean = new_node(aten.mean.dim, patches, [2])
        maps = new_node(aten.unflatten.int, mean, 2, list(grid.size))
        flat = new_node(aten.flatten.using_ints, maps, 2)
        share = new_node(aten.div.Tensor, flat, new_node(aten.clamp_min.default, mean, _TINY))
        edited = new_node(aten.mul.Tensor, patches, new_node(aten.unsqueeze.default, share, 2))
        beside = [edited]
        if start:
            beside.insert(0, new_node(aten.slice.Tensor, weights, 3, 0, start))
        if stop < tokens:
            beside.append(new_node(aten.slice.Tensor, weights, 3, stop, tokens))
        value = new_node(aten.cat.default, beside, 3) if len(beside) > 1 else edited
    for user in users:
        user.replace_input_with(weights, value)
    return maps
