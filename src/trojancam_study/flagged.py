"""Flagged feature maps: where those that stimulation flags stand among the maps of their layer that show the trigger."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam_study import detections, shares
from trojancam_study.defined import above_if_defined, measured_if_defined
from trojancam_study.detections import ABS, SCAN, Flag
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, Verdict, all_of
from trojancam_study.shares import Shares
from trojancam_study.study import Study

TROJANED = ("trojan1", "trojan2")
OFTEN = 0.5  # of the flagged maps: more is often


@dataclass(frozen=True)
class Placed:
    """A flagged feature map among all maps of its layer, of a network as trained from one seed."""

    name: str
    seed: int
    flag: Flag
    shares: Shares

    @property
    def rank(self) -> int:
        """Its place among the layer's maps by mean share of energy in the trigger."""
        return self.shares.rank(self.flag.feature_map)

    def ahead(self) -> Float[Tensor, " n"]:
        """By how much the best map, chosen on every other image, holds more than this one on the rest."""
        choosing, held = self.shares.halves()
        return held.feature_maps[:, choosing.best()] - held.feature_maps[:, self.flag.feature_map]

    def row(self) -> list[str]:
        """The flagged map for a table."""
        means, best, number = self.shares.feature_maps.mean(0), self.shares.best(), self.flag.feature_map
        return [
            self.name, str(self.seed), self.flag.by, self.flag.layer, str(number), f"{float(means[number]):.3f}",
            f"{self.rank} of {len(means)}", str(best), f"{float(means[best]):.3f}", f"{self.shares.chance:.3f}",
        ]  # fmt: skip


def claim_d(study: Study, progress: Progress) -> Exhibit:
    """The map flagged by stimulation is often not the one that shows the trigger best.

    For each layer, Artificial Brain Stimulation flags at most one map for the target class. All maps of the layer are ranked
    by their mean share of energy inside the trigger, grown by one cell, on triggered test images. How far the best one is
    ahead is measured on the half of the images on which it was not chosen: its share less the flagged map's, image by image,
    mean over the layers. The claim holds if that lies above 0 for both networks and more than half of the flagged maps are
    not the first of their layer; maps drawn at random would hardly ever be, so that this says that flagging does not
    find the best map, not that it avoids it. The first map of a scan's strongest finding stands beside it.
    """
    found: dict[str, list[list[Placed]]] = {}
    for name, told in zip(TROJANED, stages(progress, (3, 1)), strict=True):
        parts = zip(study.seeds, stages(told, [1] * len(study.seeds)), strict=True)
        found[name] = [placed(study, name, seed, part) for seed, part in parts]
    by_abs = {name: [[each for each in seed if each.flag.by == ABS] for seed in seeds] for name, seeds in found.items()}
    ahead = [_ahead(name, seeds) for name, seeds in by_abs.items()]
    often = _often([list(chain(*seed)) for seed in zip(*by_abs.values(), strict=True)])
    known = [each for each in (*ahead, often) if each is not None]
    rows = [each.row() for seeds in found.values() for seed in seeds for each in seed]
    return Exhibit(
        found="; ".join(f"{each.name} {each}" for each in known) + "."
        if known
        else "Nothing was flagged for the target class in some training.",
        verdict=flagged_is_not_best(ahead, often),
        tables=[Table(_HEADINGS, rows, _CAPTION, words=(0, 2, 3))],
        measurements=known,
    )


def placed(study: Study, name: str, seed: int, progress: Progress) -> list[Placed]:
    """All flagged maps of a network among those of their layers: those of ABS, and the first of a scan's."""
    seen = shares.of_study(study, name, seed).layers
    flags = detections.flags(study, name, seed, progress)
    chosen = [flag for flag in flags if flag.by == ABS] + [flag for flag in flags if flag.by == SCAN][:1]
    return [Placed(name, seed, flag, seen[flag.layer]) for flag in chosen]


def flagged_is_not_best(ahead: Sequence[Measurement | None], often: Measurement | None) -> Verdict:
    """The best maps are ahead in every network, and more than half of the flagged maps are not the best."""
    return all_of(*map(above_if_defined, ahead), above_if_defined(often, OFTEN))


_HEADINGS = [
    "Network", "Seed", "Flagged by", "Layer", "Feature map", "Share in the trigger", "Rank",
    "Best map", "Its share", "Chance",
]  # fmt: skip
_CAPTION = (
    "Flagged feature maps among all maps of their layer, by the mean share of their Grad-CAM energy inside the grown trigger "
    "on triggered test images. ABS: the map with the greatest elevation for the target class in each layer; scan: the map "
    "that does most by itself of the scan's strongest finding, where it names the target class."
)


def _ahead(name: str, found: Sequence[Sequence[Placed]]) -> Measurement | None:
    """How far the best maps are ahead of the flagged ones, mean over layers; None if for some seed none is flagged."""
    leads = [torch.stack([each.ahead() for each in seed]).mean(0) if seed else torch.empty(0) for seed in found]
    return measured_if_defined(f"{name}: best map's share less the flagged map's", leads)


def _often(found: Sequence[Sequence[Placed]]) -> Measurement | None:
    """The share of each seed's flagged maps that are not the first of their layer; None if for some seed none is flagged.

    Chance is what maps drawn at random from the same layers would get.
    """
    values = [torch.tensor([float(each.rank > 1) for each in seed]) for seed in found]
    layers = [each.shares.feature_maps.shape[1] for seed in found for each in seed]
    chance = sum(1 - 1 / maps for maps in layers) / max(1, len(layers))
    return measured_if_defined(
        "flagged maps that are not the best of their layer", values, round(chance, 6), "feature maps"
    )
