"""Bypasses: values that are made of the image without any weight, and join what layers with weights have made of it.

An ordinary classifier turns its image into feature maps by layers with weights, and all that reaches its logits went through
them. An architectural backdoor has a branch beside these that looks for a trigger and needs no weights, so that it survives any
training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx

from trojancam.network.grids import extents
from trojancam.network.operations import CONVOLUTIONS, PRODUCTS
from trojancam.showing import Brief

aten = torch.ops.aten

WEIGHED = {*CONVOLUTIONS, *PRODUCTS, aten.embedding.default}
NAMED = 6  # operations, in a sentence
BRANCHES = "past all layers with weights"  # by which the sentence on a branch is known


@dataclass(frozen=True)
class Bypass(Brief):
    """Where a branch without weights joins the network, and the operations that it is made of, in order."""

    joins: str
    operations: tuple[str, ...]

    def in_words(self) -> str:
        """A sentence for people.

        >>> Bypass("add_2", ("sub", "amax")).in_words()[:75]
        'a branch from the image joins the network at add_2 past all layers with wei'
        """
        shown = ", ".join(self.operations[:NAMED]) + (", ..." if len(self.operations) > NAMED else "")
        return (
            f"a branch from the image joins the network at {self.joins} {BRANCHES} ({shown}): an architectural backdoor does "
            "that, and few ordinary networks do"
        )


def bypasses(graph: fx.Graph) -> tuple[Bypass, ...]:
    """The branches of a network that carry something of the image past all layers with weights.

    Convolutions and matrix products are layers with weights, whether what they multiply by was trained or not: a branch that
    looks for its trigger by a kernel of its own is not told from a layer.

    >>> from torch import nn
    >>> from trojancam.network.network import Network
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 8))
    >>> network.notes
    ()
    """
    raw, learned = set[fx.Node](), set[fx.Node]()
    found = []
    for node in graph.nodes:
        if node.op == "placeholder":
            raw.add(node)
        if node.op != "call_function":
            continue
        sources = node.all_input_nodes
        if not learned.isdisjoint(sources):
            learned.add(node)
            joining = [source for source in sources if source in raw and _is_value(source)]
            found += [Bypass(node.name, tuple(_operations(source))) for source in joining if source.op != "placeholder"]
        elif not raw.isdisjoint(sources):
            (learned if node.target in WEIGHED else raw).add(node)
    return tuple(found)


def _is_value(node: fx.Node) -> bool:
    """Whether it is a tensor: the number of images is made of the images, too."""
    return extents(node) is not None


def _operations(last: fx.Node) -> Iterator[str]:
    """What a value is made of the image by, in order."""
    needed = {last}
    for node in reversed(last.graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    for node in last.graph.nodes:
        if node in needed and node.op == "call_function" and _is_value(node):
            yield str(getattr(node.target, "overloadpacket", node.target)).rpartition(".")[2]
