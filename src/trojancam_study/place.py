"""Claims about place: which layer shows the trigger most precisely, and whether feature maps show it where layers do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam_study import shares
from trojancam_study.defined import above_if_defined, measured_if_defined
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, above, all_of, measured
from trojancam_study.shares import Shares, most_possible
from trojancam_study.study import Study

LAYER = "conv2d_2"  # the study's layer 2 of trojan1
TROJANED = ("trojan1", "trojan2")
Layers = Mapping[str, Shares]


def claim_a(study: Study, progress: Progress) -> Exhibit:
    """Layer 2 of trojan1 shows the trigger most precisely.

    Of each triggered test image and each layer the share of Grad-CAM energy inside the trigger's own pixels,
    `sum(L m) / sum(L)`, is measured; the trigger is not grown, so that the mask is the same for all layers. A blank map
    counts as 0. The claim holds if the paired difference between layer 2 and every other layer lies above 0. The pointing
    game beside it forgives each layer one of its cells.
    """
    found = _of_seeds(study, "trojan1", progress, grown=False)
    shown = {layer: _mean_share(layer, found) for layer in found[0]}
    leads = [_lead(layer, found) for layer in found[0] if layer != LAYER]
    closest = min(leads, key=lambda lead: lead.mean)
    first = max(shown, key=lambda layer: shown[layer].mean)
    return Exhibit(
        found=f"{LAYER} holds {shown[LAYER]} of its energy in the trigger's own pixels; the most precise layer is {first} "
        f"with {shown[first]}. {closest.name}: {closest}.",
        verdict=all_of(*(above(lead) for lead in leads)),
        tables=[_precision_table(study, shown, found)],
        measurements=[*shown.values(), *leads],
        numbers={"most_precise": first},
    )


def claim_b(study: Study, progress: Progress) -> Exhibit:
    """Feature maps reveal the trigger where the layer's own map fails, on trojan1 and on trojan2.

    In each layer the feature map with the greatest mean share of energy inside the trigger (grown by one cell) is chosen on
    one half of the test images and compared with the layer's own map on the other half. A layer map fails on an image where
    it holds less than the grown trigger's share of the image, which is what a map of one value gets. The claim holds if, for
    both networks, the paired difference over all layers lies above 0, and where layer maps fail the chosen feature maps'
    share lies above chance.
    """
    gains, lifts, rows = [], [], []
    for name, told in zip(TROJANED, stages(progress, [1] * len(TROJANED)), strict=True):
        found = [revealed(layers) for layers in _of_seeds(study, name, told)]
        gains.append(measured(f"{name}: best feature map less layer map", [each.gain() for each in found]))
        where = f"{name}: best feature map less chance, where the layer map fails"
        lifts.append(measured_if_defined(where, [each.lift() for each in found]))
        rows += _layer_rows(name, found)
    failing = [lift for lift in lifts if lift is not None]
    words = [f"{gain.name} {gain}" for gain in gains] + [f"{lift.name} {lift}" for lift in failing]
    return Exhibit(
        found=f"Shares of energy in the trigger, means over layers and images. {'; '.join(words)}.",
        verdict=all_of(*map(above, gains), *map(above_if_defined, lifts)),
        tables=[Table(_LAYER_HEADINGS, rows, _LAYER_CAPTION, words=(0, 1))],
        measurements=[*gains, *failing],
        numbers={
            "layers_where_the_feature_map_is_better": [f"{row[0]} {row[1]}" for row in rows if row[-1] == "feature map"]
        },
    )


@dataclass(frozen=True)
class Revealed:
    """Shares on the images that nothing was chosen on: of each layer's own map, and of the feature map chosen on the rest."""

    layer_maps: Float[Tensor, "n layers"]
    chosen_maps: Float[Tensor, "n layers"]
    chance: Float[Tensor, " layers"]
    chosen: tuple[int, ...]
    layers: tuple[str, ...]

    def gain(self) -> Float[Tensor, " n"]:
        """By how much the chosen feature maps hold more than the layer maps, mean over the layers."""
        return (self.chosen_maps - self.layer_maps).mean(1)

    def lift(self) -> Float[Tensor, " n"]:
        """What the chosen feature maps hold above chance in those layers whose own map fails; NaN where none does."""
        return (self.chosen_maps - self.chance).where(self.layer_maps < self.chance, torch.nan).nanmean(1)


def revealed(layers: Layers) -> Revealed:
    """Choose each layer's best feature map on every other image, and see what it holds on the others."""
    halves = [each.halves() for each in layers.values()]
    chosen = tuple(choosing.best() for choosing, _ in halves)
    return Revealed(
        layer_maps=torch.stack([held.layer_map for _, held in halves], 1),
        chosen_maps=torch.stack([held.feature_maps[:, k] for (_, held), k in zip(halves, chosen, strict=True)], 1),
        chance=torch.tensor([held.chance for _, held in halves]),
        chosen=chosen,
        layers=tuple(layers),
    )


def _of_seeds(study: Study, name: str, progress: Progress, *, grown: bool = True) -> list[Layers]:
    """The shares of every layer, for each seed."""
    found: list[Layers] = []
    for done, seed in enumerate(study.seeds, start=1):
        found.append(shares.of_study(study, name, seed, grown=grown).layers)
        progress(done, len(study.seeds), f"{name}, seed {seed}")
    return found


def _mean_share(layer: str, found: Sequence[Layers]) -> Measurement:
    return measured(
        f"{layer}: energy in the trigger", [each[layer].layer_map for each in found], found[0][layer].chance
    )


def _lead(layer: str, found: Sequence[Layers]) -> Measurement:
    """By how much layer 2 is more precise than another layer, image by image."""
    return measured(f"{LAYER} less {layer}", [each[LAYER].layer_map - each[layer].layer_map for each in found])


def _precision_table(study: Study, shown: Mapping[str, Measurement], found: Sequence[Layers]) -> Table:
    network, mask = study.network("trojan1", study.seeds[0]), study.trigger("trojan1").place
    rows = []
    for layer, share in shown.items():
        first = found[0][layer]
        pointing = measured(layer, [each[layer].pointing for each in found], first.pointing_chance)
        rows.append([
            layer,
            "x".join(map(str, network.layer(layer).placement.cell)),
            f"{share.mean:.3f} [{share.low:.3f}, {share.high:.3f}]",
            f"{first.chance:.3f}",
            f"{most_possible(network.layer(layer), mask):.3f}",
            f"{pointing.mean:.3f} [{pointing.low:.3f}, {pointing.high:.3f}]",
            f"{first.pointing_chance:.3f}",
        ])  # fmt: skip
    headings = ["Layer", "Cell, pixels", "Energy in the trigger", "Chance", "Most that any map can have"]
    return Table(
        [*headings, "Peak within a cell of it", "Chance of that"],
        rows,
        "Grad-CAM of trojan1 on triggered test images, all seeds; the share of energy is in the trigger's own pixels.",
    )


_LAYER_HEADINGS = [
    "Network", "Layer", "Chance", "Layer's own map", "Fails on images", "Best feature map, by seed", "Its share",
    "Difference, paired", "Better",
]  # fmt: skip
_LAYER_CAPTION = (
    "Mean share of Grad-CAM energy inside the trigger grown by one cell, on the half of the images on which no feature map "
    "was chosen. A layer map fails where it holds less than chance."
)


def _layer_rows(name: str, found: Sequence[Revealed]) -> list[list[str]]:
    rows = []
    for place, layer in enumerate(found[0].layers):
        own = measured(layer, [each.layer_maps[:, place] for each in found])
        best = measured(layer, [each.chosen_maps[:, place] for each in found])
        gain = measured(layer, [each.chosen_maps[:, place] - each.layer_maps[:, place] for each in found])
        chance = float(found[0].chance[place])
        fails = sum(float((each.layer_maps[:, place] < chance).float().mean()) for each in found) / len(found)
        better = {"agrees": "feature map", "disagrees": "layer map", "cannot tell": "cannot tell"}[above(gain)]
        rows.append([
            name, layer, f"{chance:.3f}", f"{own.mean:.3f}", f"{fails:.0%}",
            ", ".join(str(each.chosen[place]) for each in found), f"{best.mean:.3f}", str(gain), better,
        ])  # fmt: skip
    return rows
