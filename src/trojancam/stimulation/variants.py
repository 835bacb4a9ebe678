"""Variants: many stimulations of the same images; only the part of the network after the stimulated layer is run."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import MEMORY_BUDGET, check_memory_budget
from trojancam.attribution.perturbations import rows_at_a_time
from trojancam.network.network import Network
from trojancam.progress import Progress, silent
from trojancam.stimulation.edits import Stimulations, as_tuple, check_images, edits, peaks, the_layer
from trojancam.stimulation.stimulation import Stimulation


def stimulated_logits(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    stimulations: Sequence[Stimulations],
    *,
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress = silent,
) -> Float[Tensor, "m n classes"]:
    """The logits of every image under each of m stimulations (or groups of one layer's, which are applied together).

    Each layer's activations are computed once; the variants then go through the part of the network after it, many in a
    batch. `memory_budget`, in bytes, bounds what a batch holds beside the activations of the images.

    Raises:
        UnknownNameError: if a layer or feature map does not exist.
        DataError: if a stimulation does not fit its layer, a group is empty or of several layers, or there is no budget.
        ModelError: if there are no images, or the network cannot take them.

    >>> from torch import nn
    >>> from trojancam.stimulation import Stimulation
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> variants = [Stimulation("0", k, value=2.0, window=(i, 0, 3, 3)) for k in range(4) for i in range(4)]
    >>> stimulated_logits(network, torch.rand(5, 3, 8, 8), variants).shape
    torch.Size([16, 5, 2])
    """
    check_memory_budget(memory_budget)
    check_images(network, images)
    groups = [as_tuple(each) for each in stimulations]
    by_layer: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        by_layer.setdefault(the_layer(group), []).append(number)
    logits = torch.empty(len(groups), len(images), len(network.class_names))
    done = 0
    with torch.inference_mode(False), torch.no_grad():
        for layer, numbers in by_layer.items():
            player = _Player(network, images, layer, memory_budget)
            for variants, rows, found in player.played([groups[number] for number in numbers]):
                logits.numpy()[numbers[variants], rows] = found.numpy()
                done += found.shape[0] * found.shape[1]
                progress(done, len(groups) * len(images), layer)
    return logits


class _Player:
    """The clean activations of one layer, and what else crosses the cut behind it."""

    def __init__(self, network: Network, images: Float[Tensor, "n 3 h w"], layer: str, memory_budget: int) -> None:
        self.network, self.cut = network, network.cut(layer)
        self.rows = rows_at_a_time(memory_budget, self.cut.bytes_per_image)
        parts = zip(*(self.cut.before(part) for part in images.split(self.rows)), strict=True)
        self.clean, *self.crossing = (torch.cat(part) for part in parts)
        self.peaks = peaks(self.clean).tolist()

    def played(self, variants: Sequence[tuple[Stimulation, ...]]) -> Iterator[tuple[slice, slice, Tensor]]:
        """Portions of the logits, `m n classes`, each with the variants and the images that it is of."""
        for start in range(0, len(self.clean), self.rows):
            images = slice(start, min(start + self.rows, len(self.clean)))
            for batch, logits in self._of_images(images, variants):
                yield batch, images, logits

    def _of_images(
        self, images: slice, variants: Sequence[tuple[Stimulation, ...]]
    ) -> Iterator[tuple[slice, Float[Tensor, "m n classes"]]]:
        """As `played`, of some images.

        Their clean activations lie in memory as often as variants go through at a time. Each variant edits its copy in
        place, and undoes it afterwards: most touch a few feature maps, and copying all takes longer.
        """
        clean = self.clean[images]
        count = len(clean)
        at_once = min(len(variants), max(1, self.rows // count))
        copies, *crossing = (torch.cat([value[images]] * at_once) for value in (self.clean, *self.crossing))
        places, kept = [place.numpy() for place in copies.split(count)], clean.numpy()
        for start in range(0, len(variants), at_once):
            batch = slice(start, min(start + at_once, len(variants)))
            edited = [edits(self.network, each, self.peaks) for each in variants[batch]]
            for place, variant in zip(places, edited, strict=False):
                for edit in variant:
                    edit(place)
            rows = count * len(edited)
            logits, _ = self.cut.after(copies[:rows], [value[:rows] for value in crossing])
            for place, variant in zip(places, edited, strict=False):
                for edit in variant:
                    edit.undo(place, kept)
            yield batch, logits.view(len(edited), count, -1)
