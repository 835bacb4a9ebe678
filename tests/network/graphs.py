"""Graphs as tests compare them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx


def described(whole: fx.GraphModule, module: Callable[[fx.Node], str]) -> list[tuple[Any, ...]]:
    """Each node without its name: what it calls with what, the shapes it gives, and what `module` says where it came from."""
    whole.graph.eliminate_dead_code()
    place = {node: number for number, node in enumerate(whole.graph.nodes)}
    return [
        (
            node.op,
            node.op if node.op == "placeholder" else str(node.target),
            str(fx.map_arg((node.args, node.kwargs), lambda source: f"node {place[source]}")),
            _shapes(node.meta.get("val")),
            module(node),
        )
        for node in whole.graph.nodes
    ]


def _shapes(value: object) -> list[str]:
    several = value if isinstance(value, tuple | list) else [value]
    return [f"{each.dtype} {tuple(each.shape)}" for each in several if isinstance(each, Tensor)]
