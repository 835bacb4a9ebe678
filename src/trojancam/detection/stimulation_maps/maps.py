"""Stimulation maps: where each feature map, stimulated in one small window at a time, drives a network to some class."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.stimulation_maps.windows import Windows
from trojancam.stimulation.replay import Replay, margins

QUANTILE = 0.25  # of a rise over the images: what happens to three images of four, whatever they show
Advance = Callable[[int], None]  # called with how many variants were run since


@dataclass(frozen=True)
class StimulationMaps:
    """What every window of every feature map of a layer does to every class; axes `k p classes`: map, window, class.

    A map is set to 0 but for one window, which is set to its level (one of `levels`), and compared with the map at 0:
    `rise` is the low quantile over the images of the rise of each logit, `margin_rise` the mean rise of each class's
    margin over all the others, and `flips` the share of the images that are then given the class.
    """

    windows: Windows
    levels: Float[Tensor, " k"]
    rise: Float[Tensor, "k p classes"]
    margin_rise: Float[Tensor, "k p classes"]
    flips: Float[Tensor, "k p classes"]

    def elevation(self) -> Float[Tensor, "k p"]:
        """The rise of the class that rises most, less that of the second: `D_(1) - D_(2)`."""
        first, second = self.rise.topk(2, dim=-1).values.unbind(-1)
        return first - second

    def target_class(self, feature_map: int, window: int) -> int:
        """The class that rises most."""
        return int(self.rise[feature_map, window].argmax())

    def grid(self, values: Float[Tensor, " p"]) -> Float[Tensor, "rows columns"]:
        """One number for each window as a map, to be looked at."""
        return values.view(len(self.windows.rows), len(self.windows.columns))


def stimulation_maps(
    replayed: Replay, windows: Windows, levels: Float[Tensor, " k"], advance: Advance = lambda _: None
) -> StimulationMaps:
    """Stimulate every window of every feature map, one at a time, and read all classes off each run of the suffix.

    New in TrojanCAM. It costs one run for each feature map, window and image, and one more for each map and image.
    """
    masks = windows.masks()
    masks = torch.cat([torch.zeros_like(masks[:1]), masks])  # the map at 0, then each of its windows
    found = [_of_map(replayed, number, float(value) * masks, advance) for number, value in enumerate(levels)]
    rise, margin_rise, flips = (torch.stack(parts) for parts in zip(*found, strict=True))
    return StimulationMaps(windows, levels, rise, margin_rise, flips)


@torch.no_grad()
def _of_map(
    replayed: Replay, number: int, maps: Float[Tensor, "p h w"], advance: Advance
) -> tuple[Tensor, Tensor, Tensor]:
    """The three measures of one feature map, given what it is set to; the first of these is its absence."""
    parts = []
    for chunk in replayed.chunks(len(maps)):
        edited = replayed.copies(chunk.stop - chunk.start)
        edited[:, :, number] = maps[chunk, None]
        parts.append(replayed.logits(edited))
        advance(chunk.stop - chunk.start)
    logits = torch.cat(parts)
    margin = margins(logits)
    flips = F.one_hot(logits[1:].argmax(-1), logits.shape[-1])
    return (
        (logits[1:] - logits[:1]).quantile(QUANTILE, dim=1),
        (margin[1:] - margin[:1]).mean(1),
        flips.float().mean(1),
    )
