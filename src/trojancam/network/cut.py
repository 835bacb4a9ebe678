"""Cut: a network in two parts, so that a layer's activations can be edited between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, fx

from trojancam.errors import ModelError
from trojancam.network import graph
from trojancam.network.batches import Footprint, footprint
from trojancam.network.input import InputSpecification


@dataclass(frozen=True)
class Cut:
    """A network in two parts: `before` gives a layer's activations, `after` goes on from (edited) activations.

    Skip connections that pass the cut by are handed across it beside the activations. Whoever edits activations goes through
    a `Replay`, which knows how many fit.
    """

    input: InputSpecification
    device: torch.device
    prefix: fx.GraphModule
    suffix: fx.GraphModule

    @classmethod
    def of(
        cls, whole: fx.GraphModule, specification: InputSpecification, device: torch.device, nodes: Sequence[str]
    ) -> "Cut":
        """The graph cut at the first of these nodes; the part after it also returns the others.

        Raises:
            ModelError: if one of the others does not depend on the cut.
        """
        layer, *recorded = nodes
        crossing, later = graph.crossing(whole, layer), graph.dependent_on(whole, layer)
        for name in recorded:
            if name not in later:
                raise ModelError(
                    f"the layer at {name} does not come after the cut at {layer}, so it cannot be recorded there"
                )
        prefix = graph.returning(whole, [layer, *crossing])
        suffix = graph.suffix(whole, layer, [graph.logits_node(whole).name, *recorded])
        return cls(specification, device, prefix, suffix)

    def before(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The layer's activations of images in [0, 1], and then whatever else crosses the cut; no gradients."""
        with torch.no_grad():
            values: tuple[Tensor, ...] = self.prefix(self.input.normalise(images.to(self.device)))
        return values

    def after(
        self, activations: Float[Tensor, "m k h w"], crossing: Sequence[Tensor] = ()
    ) -> tuple[Float[Tensor, "m classes"], tuple[Tensor, ...]]:
        """Logits and recorded layers for activations, edited or not, as many as there are; gradients flow.

        `crossing` holds one row for each of them, as `before` gave it (repeat rows for variants of one image).
        """
        logits, *values = self.suffix(activations, *crossing)
        return logits, tuple(values)

    @cached_property
    def before_footprint(self) -> Footprint:
        """The bytes that one image takes in the part before the cut."""
        return footprint(self.prefix.graph).plus(self.input.bytes_per_image)

    @cached_property
    def footprint(self) -> Footprint:
        """The bytes that one row of activations takes in the part after the cut, itself counted in."""
        return footprint(self.suffix.graph)
