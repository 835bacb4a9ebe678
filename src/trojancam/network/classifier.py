"""Classifier: the graph from images to the logits of a module, whatever else it returns."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from trojancam.errors import ModelError
from trojancam.network import independence
from trojancam.network.bypasses import bypasses
from trojancam.network.channels_last import in_channels_first
from trojancam.network.exporting import traced
from trojancam.network.graph import computed, logits_node, rank, returned_by, returning
from trojancam.network.input import InputSpecification
from trojancam.network.modules import unwrapped
from trojancam.network.outputs import Output, choice_in_words, chosen_output

aten = torch.ops.aten

_SOFTMAX = {
    aten.softmax.int, aten._softmax.default, aten.log_softmax.int, aten._log_softmax.default,
}  # fmt: skip

_IDLE = {aten.clone.default, aten.alias.default, aten.contiguous.default, aten.detach.default}


def classifier(
    module: nn.Module, specification: InputSpecification, output: Output = None, classes: int | None = None
) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """The graph from images to the logits of a module, and what was done to come to these, in words.

    Of several outputs the one that is named or numbered is taken, else the one that gives `classes` numbers for each image,
    where their number is known, or that is called the logits; probabilities are taken back to the logits that they
    are made of; and one number for each image becomes the logits of two classes.

    Raises:
        ModelError: if the module cannot be exported, or gives no logits.
        UnknownNameError: if it has no such output.
        SeveralOutputsError: if several can be it.
    """
    whole, names, left_out, runs = traced(unwrapped(module), specification)
    place = chosen_output(names, _widths(returned_by(whole.graph)), output, classes)
    whole, probabilities = _without_probabilities(_of_output(whole, place))
    _check_logits(whole)
    independence.without_state(whole, logits_node(whole))
    independence.check_each_image_alone(whole, logits_node(whole), specification)
    independence.check_runs_alike([results[place] for results in runs if len(results) == len(names)])
    whole, two = _of_two_classes(whole)
    past = tuple(each.in_words() for each in bypasses(whole.graph))
    return whole, (*left_out, *choice_in_words(names, place), *probabilities, *two, *past)


def _of_output(whole: fx.GraphModule, place: int) -> fx.GraphModule:
    """The graph of one of the results alone, in `n k h w`."""
    results = returned_by(whole.graph)
    if not results or not isinstance(results[place], fx.Node):
        raise ModelError("a classifier gives logits of shape (n, classes), but this module gives no tensor")
    return in_channels_first(returning(whole, [results[place].name]))


def _widths(results: Sequence[Any]) -> list[int | None]:
    """How many numbers each result gives for an image: None where it gives no row of them, or what another gives, too.

    Of logits and of their probabilities, the logits count.
    """
    rows = [_behind_idle(result) if rank(result) == 2 else None for result in results]
    places: dict[fx.Node, int] = {}
    for place, row in enumerate(rows):
        if row is not None:
            logits = _before_probabilities(row) or row
            if logits not in places or (row is logits and rows[places[logits]] is not logits):
                places[logits] = place
    own = set(places.values())
    return [int(row.meta["val"].shape[1]) if row and place in own else None for place, row in enumerate(rows)]


def _behind_idle(node: fx.Node) -> fx.Node:
    """The node whose value this one hands on."""
    while node.target in _IDLE and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _before_probabilities(node: fx.Node) -> fx.Node | None:
    """The logits of which a softmax over the classes, its logarithm or a sigmoid makes probabilities; None if it is none."""
    over_classes = node.target in _SOFTMAX and node.args[1] in (1, -1)
    probabilities = rank(node) == 2 and (over_classes or node.target is aten.sigmoid.default)
    return _behind_idle(node.all_input_nodes[0]) if probabilities else None


def _without_probabilities(whole: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """The same graph with the logits that a last softmax over the classes, its logarithm or a sigmoid is given."""
    last = _behind_idle(logits_node(whole))
    logits = _before_probabilities(last)
    if logits is None:
        return whole, ()
    kind = "softmax" if last.target in _SOFTMAX else "sigmoid"
    return returning(whole, [logits.name]), (f"it ends in a {kind}: its logits are taken before that",)


def _of_two_classes(whole: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Where there is one number `z` for each image: `-z / 2` and `z / 2`, whose softmax gives class 1 `sigmoid(z)`.

    Halves, so that the heat map of either class shows something: that of a class whose logit is always 0 would not.
    """
    if number_of_classes(whole) != 1:
        return whole, ()
    both = returning(whole, [logits_node(whole).name])
    number = logits_node(both)
    with both.graph.inserting_before(next(iter(reversed(both.graph.nodes)))):
        half = computed(both.graph, aten.mul.Tensor, (number, 0.5))
        less = computed(both.graph, aten.neg.default, (half,))
        classes = computed(both.graph, aten.cat.default, ([less, half], 1))
    said = "it gives one number for each image: taken for what speaks for class 1 and against class 0"
    return returning(both, [classes.name]), (said,)


def number_of_classes(whole: fx.GraphModule) -> int:
    """How many classes the logits have."""
    return int(logits_node(whole).meta["val"].shape[1])


def _check_logits(whole: fx.GraphModule) -> None:
    """Refuse what is no batch of numbers for each class."""
    logits = logits_node(whole)
    if rank(logits) != 2:
        shape = ", ".join("n" if place == 0 else str(extent) for place, extent in enumerate(logits.meta["val"].shape))
        raise ModelError(
            f"a classifier gives logits of shape (n, classes), but this module gives a tensor of shape ({shape})"
        )
