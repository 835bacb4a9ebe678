"""Path gradients: where and with what a layer's maps drive a network to a class, from a few gradients of the whole layer.

The sweep of single maps and windows runs the network once for each of them. Here all cells of all maps are turned from what they
are toward the levels that drive the class, some steps on a path, and the gradients on it, added up, tell what every window
would gain. The gradient on clean images alone fails where the class is saturated; a path mends that. It finds the place of a
class, and not which class it is: so the best windows of every class are run.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.settings import Count
from trojancam.detection.stimulation_maps.maps import Advance
from trojancam.detection.stimulation_maps.optimised import Stimuli, improved, measured, unmeasured
from trojancam.detection.stimulation_maps.windows import Windows
from trojancam.network.batches import parts
from trojancam.network.margins import margin
from trojancam.network.replay import Replay
from trojancam.showing import Brief

POINTS = (0.0, 0.1, 0.3)  # of the way from clean activations to those that drive a class, at which gradients are taken
BACKWARD = 3  # runs that one forth and back is told as
FIRST = 1  # round of gradient and replacement, at the best windows of a class


@dataclass(frozen=True)
class PathSearch(Brief):
    """How windows are looked for by gradients: on so many `images`, of each class the best `windows` are run on a `few` of them.

    One round of gradient and replacement improves the `best` of these, further `rounds` on all images the very best.
    """

    images: Count = 8
    windows: Count = 8
    few: Count = 3
    best: Count = 2
    rounds: Count = 1


def strongest_by_gradients(
    replayed: Replay,
    windows: Windows,
    levels: Float[Tensor, " k"],
    classes: int,
    search: PathSearch,
    advance: Advance = lambda _: None,
) -> Stimuli:
    """The strongest stimulation of each class that a path of gradients leads to; one for each class, in order.

    New in TrojanCAM. With A the clean activations and G the gradient of the margin, averaged over images and added up over the
    points a of a path, all maps are set to `(1 - a) A + a P`, where P is a map's level where G is positive so far, and else 0.
    A window gains the sum over its cells and maps of `G P - mean(G A)`. `advance` is told of images run.
    """
    found = [_of_class(replayed, windows, levels, target, search, advance) for target in range(classes)]
    return Stimuli(*(torch.cat([getattr(each, name) for each in found]) for name in Stimuli.__dataclass_fields__))


def cost(classes: int, images: int, search: PathSearch) -> int:
    """How many images the search runs on a layer, one forth and back counting three."""
    path = BACKWARD * len(POINTS) * min(search.images, images)
    tried = search.windows * min(search.few, images)
    first = search.best * min(search.images, images) * (BACKWARD * FIRST + 1)
    return classes * (path + tried + first + images * (BACKWARD * search.rounds + 1))


def _of_class(
    replayed: Replay, windows: Windows, levels: Float[Tensor, " k"], target: int, search: PathSearch, advance: Advance
) -> Stimuli:
    """The strongest stimulation of one class."""
    some, few = replayed.of(slice(search.images)), replayed.of(slice(search.few))
    pattern, gains = _path(some, levels, target)
    advance(BACKWARD * len(POINTS) * len(some))
    started = _best_windows(windows, pattern, gains, target, search.windows)
    tried = measured(few, windows, started)
    advance(len(few) * len(started.classes))
    best = unmeasured(tried.best_of_each_class(search.best))
    best = improved(some, windows, best, levels, FIRST).best_of_each_class(1)
    advance(search.best * len(some) * (BACKWARD * FIRST + 1))
    best = improved(replayed, windows, unmeasured(best), levels, search.rounds)
    advance(len(replayed) * (BACKWARD * search.rounds + 1))
    return best


def _path(
    replayed: Replay, levels: Float[Tensor, " k"], target: int
) -> tuple[Float[Tensor, "k h w"], Float[Tensor, "h w"]]:
    """What all maps are set to for a class, and what each cell gains by that."""
    clean = replayed.activations
    slope, own = torch.zeros_like(clean[0]), torch.zeros_like(clean[0, 0])
    pattern = slope
    for share in POINTS:
        gradient = _gradient(replayed, clean + share * (pattern - clean) if share else clean, target)
        slope = slope + gradient.mean(0)
        own = own + (gradient * clean).mean(0).sum(0)
        pattern = torch.where(slope > 0, levels[:, None, None], 0.0)
    return pattern, (slope * pattern).sum(0) - own


def _gradient(replayed: Replay, activations: Float[Tensor, "n k h w"], target: int) -> Float[Tensor, "n k h w"]:
    """How the margin of a class changes with the activations of each image."""
    gradients = []
    for part in parts(len(activations), replayed.rows(gradients=True)):
        rows = activations[part].detach().requires_grad_()
        images = torch.arange(part.start, part.stop, device=rows.device)
        with torch.enable_grad():
            logits, _ = replayed.edited(rows, images)
            lead = margin(logits[None], torch.tensor([target], device=rows.device))
            (gradient,) = torch.autograd.grad(lead.sum(), rows)
        gradients.append(gradient)
    return torch.cat(gradients)


def _best_windows(
    windows: Windows, pattern: Float[Tensor, "k h w"], gains: Float[Tensor, "h w"], target: int, count: int
) -> Stimuli:
    """The windows that promise most, at steps of half a window, each filled with what all maps are set to there."""
    corners = _corners(windows).to(gains.device)
    sums = F.avg_pool2d(gains[None, None], windows.size, stride=1)[0, 0]
    promised = sums[corners[:, 0], corners[:, 1]].argsort(descending=True, stable=True)[:count]
    height, width = windows.size
    chosen = corners[promised]
    patterns = torch.stack([pattern[:, row : row + height, column : column + width] for row, column in chosen.tolist()])
    nothing = torch.zeros(len(chosen), device=gains.device)
    return Stimuli(torch.full_like(chosen[:, 0], target), chosen, patterns, nothing, nothing)


def _corners(windows: Windows) -> Int64[Tensor, "p 2"]:
    """The upper left cells of windows at steps of half a window, and of those that end with the map."""
    axes = [
        torch.tensor(sorted({*range(0, cells - side, max(1, side // 2)), cells - side}), device="cpu")
        for cells, side in zip(windows.layer.size, windows.size, strict=True)
    ]
    return torch.cartesian_prod(*axes)
