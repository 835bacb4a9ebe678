"""Hidden: the last hidden layer of a classifier, where attacks on networks set to work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import ModelError
from trojancam.network.input import InputSpecification

BATCH = 512


def output_layer(module: nn.Module) -> nn.Linear:
    """The last dense layer, which gives the logits.

    Raises:
        ModelError: if there is none.
    """
    dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not dense:
        raise ModelError("the network ends in no dense layer, which this attack changes; choose another network")
    return dense[-1]


@contextmanager
def watched(layer: nn.Module) -> Iterator[list[Tensor]]:
    """A list into which each run of the network puts what this layer is given."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        handle.remove()


def hidden(module: nn.Module, fed: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
    """What the output layer is given for these inputs, and the logits; gradients pass."""
    with watched(output_layer(module)) as seen:
        logits = module(fed)
    return seen[-1], logits


@torch.no_grad()
def hidden_of_set(module: nn.Module, images: ImageSet, specification: InputSpecification) -> Float[Tensor, "n d"]:
    """The same for all images of a set, without gradients."""
    parts = [hidden(module, specification.normalise(as_floats(batch)))[0] for batch in images.images.split(BATCH)]
    return torch.cat(parts)
