"""Variants: many stimulations of the same images; only the part of the network after the stimulated layer is run."""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from trojancam.network import given
from trojancam.network.batches import BUDGET, check_budget, parts
from trojancam.network.network import Network
from trojancam.network.replay import Replay, replay
from trojancam.progress import Progress, checked, silent
from trojancam.stimulation.edits import Stimulations, as_tuple, edits, the_layer
from trojancam.stimulation.stimulation import Stimulation


def stimulated_logits(
    network: Network,
    images: given.GivenImages,
    stimulations: Sequence[Stimulations],
    *,
    memory_budget: int = BUDGET,
    progress: Progress = silent,
) -> Float[Tensor, "m n classes"]:
    """The logits of every image under each of m stimulations (or groups of one layer's, which are applied together).

    Each layer's activations are computed once; the variants then go through the part of the network after it, many in a
    batch. `memory_budget`, in bytes, bounds what a batch holds beside the activations of the images.

    Raises:
        UnknownNameError: if a layer or feature map does not exist.
        DataError: if a stimulation does not fit its layer, a group is empty or of several layers, there is no budget, or the
            network cannot take the images.

    >>> from torch import nn
    >>> from trojancam.stimulation import Stimulation
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> variants = [Stimulation("0", k, value=2.0, window=(i, 0, 3, 3)) for k in range(4) for i in range(4)]
    >>> stimulated_logits(network, torch.rand(5, 3, 8, 8), variants).shape
    torch.Size([16, 5, 2])
    """
    return variants_read(
        network, images, stimulations, lambda logits: logits, memory_budget=memory_budget, progress=progress
    )


def variants_read(
    network: Network,
    images: given.GivenImages,
    stimulations: Sequence[Stimulations],
    read: Callable[[Float[Tensor, "m n classes"]], Shaped[Tensor, "m n *measures"]],
    *,
    memory_budget: int = BUDGET,
    progress: Progress = silent,
) -> Shaped[Tensor, "m n *measures"]:
    """As `stimulated_logits`, of which only what `read` takes from the logits of some variants and images is kept.

    Where there are many variants and a thousand classes, all logits together would not fit.

    Raises:
        UnknownNameError, DataError, ModelError: as `stimulated_logits`.
    """
    check_budget(memory_budget)
    progress = checked(progress)
    images = given.images(network, images)
    groups = [as_tuple(each) for each in stimulations]
    by_layer: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        by_layer.setdefault(the_layer(group), []).append(number)
    done = 0
    with torch.inference_mode(False), torch.no_grad():
        nothing = read(torch.empty(0, len(images), len(network.class_names), device=network.device))
        measured = nothing.new_empty(len(groups), *nothing.shape[1:])
        for layer, numbers in by_layer.items():
            clean = replay(network, layer, images)
            places = torch.tensor(numbers, device=network.device)
            for variants, rows, logits in _played(
                network, clean, [groups[number] for number in numbers], memory_budget
            ):
                measured[places[variants], rows] = read(logits)
                done += logits.shape[0] * logits.shape[1]
                progress(done, len(groups) * len(images), layer)
    return measured


def _played(
    network: Network, clean: Replay, variants: Sequence[tuple[Stimulation, ...]], memory_budget: int
) -> Iterator[tuple[slice, slice, Float[Tensor, "m n classes"]]]:
    """Portions of the logits, each with the variants and the images that it is of.

    The clean activations of some images lie in memory as often as variants go through at a time. All of these are edited in
    place, and restored afterwards: most touch a few feature maps, and copying all takes longer.
    """
    at_once, peaks = clean.rows(memory_budget), clean.peaks()
    for images in parts(len(clean), at_once):
        some = clean.of(images)
        copies = some.copies(min(len(variants), max(1, at_once // len(some))))
        for batch in parts(len(variants), len(copies)):
            made = edits(network, variants[batch], peaks)
            made.edit(copies.activations)
            logits = copies.first(batch.stop - batch.start).logits()
            made.restore(copies.activations, some.activations)
            yield batch, images, logits
