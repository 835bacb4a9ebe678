"""Stimulation maps: where each feature map, stimulated in one small window at a time, drives a network to some class."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.stimulation_maps.windows import Windows
from trojancam.network.batches import parts
from trojancam.network.margins import margins
from trojancam.network.replay import Copies, Replay
from trojancam.showing import Brief

QUANTILE = 0.25  # of a rise over the images: what happens to three images of four, whatever they show
Advance = Callable[[int], None]  # called with how many variants were run since


@dataclass(frozen=True)
class StimulationMaps(Brief):
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
    copies = replayed.copies(min(len(windows), replayed.variants_at_once()))
    found = [_of_map(replayed, copies, windows, number, levels[number], advance) for number in range(len(levels))]
    rise, margin_rise, flips = (torch.stack(parts) for parts in zip(*found, strict=True))
    return StimulationMaps(windows, levels, rise, margin_rise, flips)


@torch.no_grad()
def _of_map(
    replayed: Replay, copies: Copies, windows: Windows, number: int, level: Float[Tensor, ""], advance: Advance
) -> tuple[Tensor, Tensor, Tensor]:
    """The three measures of one feature map, which all copies lose meanwhile; only some windows' logits are held."""
    edited = copies.activations[:, :, number]
    edited.zero_()
    absent = copies.first(1).logits()
    advance(1)
    measures = []
    masks = windows.masks().to(level.device)
    for chunk in parts(len(windows), len(copies)):
        count = chunk.stop - chunk.start
        edited[:count] = (level * masks[chunk])[:, None]
        measures.append(_measured(copies.first(count).logits(), absent))
        advance(count)
    edited.copy_(replayed.activations[:, number])
    rise, margin_rise, flips = (torch.cat(each) for each in zip(*measures, strict=True))
    return rise, margin_rise, flips


def _measured(
    logits: Float[Tensor, "p n classes"], absent: Float[Tensor, "1 n classes"]
) -> tuple[Float[Tensor, "p classes"], Float[Tensor, "p classes"], Float[Tensor, "p classes"]]:
    """What windows do to every class beside the map's absence: the three measures."""
    flips = F.one_hot(logits.argmax(-1), logits.shape[-1])
    return (
        (logits - absent).quantile(QUANTILE, dim=1),
        (margins(logits) - margins(absent)).mean(1),
        flips.float().mean(1),
    )
