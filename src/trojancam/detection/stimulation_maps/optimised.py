"""Optimised stimulation: all feature maps in one window at once, set to what drives a network to a class the most.

A network with batch normalisation and global pooling spreads a trigger over several maps: no single one carries it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.stimulation_maps.maps import QUANTILE, Advance, StimulationMaps
from trojancam.detection.stimulation_maps.windows import Windows
from trojancam.network.batches import fitting, parts
from trojancam.network.margins import margin
from trojancam.network.replay import Copies, Replay
from trojancam.showing import Brief

FEW = 4  # images with which every window of every class is tried
BEST = 4  # windows of a class that are improved by gradients
HELD = (
    6  # times the patterns that are improved are held: they, their gradients, and the best so far, twice while compared
)
ROUNDS = (3, 2)  # of gradient and replacement: at a class's best windows, and again after the window was moved


@dataclass(frozen=True)
class Stimuli(Brief):
    """q stimulations of one window each: class, upper left cell, and what all maps are set to inside.

    `margin` is the low quantile over the images of the lead of the class over all others, `flips` the share of images
    that are given the class.
    """

    classes: Int64[Tensor, " q"]
    corners: Int64[Tensor, "q 2"]
    patterns: Float[Tensor, "q k height width"]
    margin: Float[Tensor, " q"]
    flips: Float[Tensor, " q"]

    def select(self, indices: Int64[Tensor, " m"]) -> "Stimuli":
        """Those with these indices."""
        return Stimuli(*(getattr(self, name)[indices] for name in self.__dataclass_fields__))

    def best_of_each_class(self, count: int) -> "Stimuli":
        """The strongest few of every class, classes in order."""
        chosen = [
            members[self.margin[members].argsort(descending=True, stable=True)[:count]]
            for members in ((self.classes == number).nonzero()[:, 0] for number in self.classes.unique())
        ]
        return self.select(torch.cat(chosen))


def optimised(replayed: Replay, maps: StimulationMaps, advance: Advance = lambda _: None) -> Stimuli:
    """The strongest stimulation of each class: where, with what, and how far it leads; one for each class, in order.

    New in TrojanCAM. A start is the maps that promote the class on their own; then rounds of setting every map in the
    window to its level (`maps.levels`) where the gradient of the margin `y_t - logsumexp(other logits)`, averaged over the
    images, is positive, and to 0 elsewhere.
    """
    of_a_class = HELD * BEST * maps.levels.nbytes * math.prod(maps.windows.size)
    found = [
        _of_classes(replayed, maps, numbers, advance)
        for numbers in torch.arange(maps.rise.shape[-1], device=maps.levels.device).split(fitting(of_a_class))
    ]
    return Stimuli(*(torch.cat([getattr(each, name) for each in found]) for name in Stimuli.__dataclass_fields__))


def _of_classes(replayed: Replay, maps: StimulationMaps, classes: Int64[Tensor, " c"], advance: Advance) -> Stimuli:
    """The strongest stimulation of each of these classes."""
    windows, largest = maps.windows, maps.levels
    stimuli = measured(replayed.of(slice(FEW)), windows, _starts(maps, classes), advance)
    stimuli = unmeasured(stimuli.best_of_each_class(BEST))
    stimuli = improved(replayed, windows, stimuli, largest, ROUNDS[0], advance)
    stimuli = _moved(replayed, windows, stimuli.best_of_each_class(1), advance)
    return improved(replayed, windows, stimuli, largest, ROUNDS[1], advance)


def cost(windows: Windows, classes: int) -> int:
    """How many variants `optimised` runs."""
    return classes * (len(windows) + min(BEST, len(windows)) * (ROUNDS[0] + 1) + 8 + ROUNDS[1] + 1)


def _starts(maps: StimulationMaps, classes: Int64[Tensor, " c"]) -> Stimuli:
    """For each of these classes every window, each map that promotes the class there at its level.

    What single maps promise tells little of what they do together, so no window is left out for it.
    """
    windows = maps.windows
    on = maps.margin_rise[..., classes].permute(2, 1, 0).flatten(0, 1) > 0  # classes and windows, maps
    patterns = (on * maps.levels)[..., None, None].expand(-1, -1, *windows.size)
    corners = torch.tensor([windows.corner(index) for index in range(len(windows))], device=classes.device)
    nothing = torch.zeros(len(on), device=classes.device)
    return Stimuli(classes.repeat_interleave(len(windows)), corners.repeat(len(classes), 1), patterns, nothing, nothing)


def unmeasured(stimuli: Stimuli) -> Stimuli:
    """What was measured on other images forgotten."""
    return replace(stimuli, margin=torch.full_like(stimuli.margin, -torch.inf), flips=torch.zeros_like(stimuli.flips))


@torch.no_grad()
def measured(replayed: Replay, windows: Windows, stimuli: Stimuli, advance: Advance = lambda _: None) -> Stimuli:
    """The same stimulations with margin and flips taken on these images."""
    leads = []
    for chunk, copies in _stimulated(replayed, windows, stimuli, replayed.variants_at_once()):
        leads.append(margin(copies.logits(), stimuli.classes[chunk]))
        advance(len(copies))
    return _with_leads(stimuli, torch.cat(leads))


def _with_leads(stimuli: Stimuli, leads: Float[Tensor, "q n"]) -> Stimuli:
    return replace(stimuli, margin=leads.quantile(QUANTILE, dim=1), flips=(leads > 0).float().mean(1))


def _stimulated(replayed: Replay, windows: Windows, stimuli: Stimuli, at_once: int) -> Iterator[tuple[slice, Copies]]:
    """Stimulations in portions, and copies of the clean activations whose windows are filled with their patterns."""
    height, width = windows.size
    count = len(stimuli.classes)
    copies = replayed.copies(min(count, at_once))
    for chunk in parts(count, len(copies)):
        some = copies.first(chunk.stop - chunk.start)
        corners = [
            (slice(row, row + height), slice(column, column + width)) for row, column in stimuli.corners[chunk].tolist()
        ]
        for copy, (rows, columns), pattern in zip(some.activations, corners, stimuli.patterns[chunk], strict=True):
            copy[:, :, rows, columns] = pattern
        yield chunk, some
        for copy, (rows, columns) in zip(some.activations, corners, strict=True):
            copy[:, :, rows, columns] = replayed.activations[:, :, rows, columns]


def improved(
    replayed: Replay,
    windows: Windows,
    stimuli: Stimuli,
    largest: Float[Tensor, " k"],
    rounds: int,
    advance: Advance = lambda _: None,
) -> Stimuli:
    """Rounds of gradient and replacement; each stimulation becomes the best that it has been."""
    best, patterns = stimuli, stimuli.patterns
    for _ in range(rounds):
        current, gradients = _with_gradients(replayed, windows, replace(stimuli, patterns=patterns))
        best, patterns = _stronger(best, current), torch.where(gradients > 0, largest[:, None, None], 0.0)
        advance(len(best.classes))
    return _stronger(best, measured(replayed, windows, replace(stimuli, patterns=patterns), advance))


def _with_gradients(
    replayed: Replay, windows: Windows, stimuli: Stimuli
) -> tuple[Stimuli, Float[Tensor, "q k height width"]]:
    """The stimulations measured, and the gradient of each one's mean margin with respect to its pattern."""
    leads, gradients = [], []
    height, width = windows.size
    for chunk, copies in _stimulated(replayed, windows, stimuli, replayed.variants_at_once(gradients=True)):
        edited = copies.activations.detach().requires_grad_()
        with torch.enable_grad():
            lead = margin(replace(copies, activations=edited).logits(), stimuli.classes[chunk])
            (gradient,) = torch.autograd.grad(lead.sum(), edited)
        leads.append(lead.detach())
        for place, (row, column) in enumerate(stimuli.corners[chunk].tolist()):
            gradients.append(gradient[place, :, :, row : row + height, column : column + width].mean(0))
    return _with_leads(stimuli, torch.cat(leads)), torch.stack(gradients)


def _moved(replayed: Replay, windows: Windows, stimuli: Stimuli, advance: Advance) -> Stimuli:
    """Each stimulation where it is strongest among its place and the eight half a window beside it."""
    best = stimuli
    device = stimuli.corners.device
    limits = torch.tensor(windows.layer.size, device=device) - torch.tensor(windows.size, device=device)
    half = [max(1, side // 2) for side in windows.size]
    for shift in ((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)):
        moved = stimuli.corners + torch.tensor(shift, device=device) * torch.tensor(half, device=device)
        there = replace(stimuli, corners=torch.minimum(moved.clamp(min=0), limits))
        best = _stronger(best, measured(replayed, windows, there))
        advance(len(stimuli.classes))
    return best


def _stronger(one: Stimuli, other: Stimuli) -> Stimuli:
    """Of each pair the one that leads by more."""
    better = other.margin > one.margin
    both = (torch.cat([getattr(one, name), getattr(other, name)]) for name in one.__dataclass_fields__)
    chosen = torch.arange(len(better), device=better.device) + better * len(better)
    return Stimuli(*(values[chosen] for values in both))
