"""Shares: how much of the energy of every layer's map, and of every feature map, lies in the trigger, image by image."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.attribution import Attribution, energy_in_mask, grad_cam
from trojancam.evaluation.localisation import (
    Mask,
    chance_levels,
    dilated,
    feature_map_energy,
    layer_energy,
    pointing_game,
)
from trojancam.network.layers import Layer
from trojancam.network.network import Network
from trojancam.network.placement import laid_over
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam_study.study import Study

BATCH = 64
LOCATES = 0.4  # a feature map with this share of its energy in the grown trigger, on average, is said to locate it


@dataclass(frozen=True)
class Shares:
    """Of each triggered image, how one layer's Grad-CAM shows the trigger; a blank map counts as 0.

    `layer_map` and `feature_maps` are shares of energy inside the trigger, `sum(L m) / sum(L)`; `chance` is the mask's share
    of the image. `pointing` is 1 where the layer's map is largest within one cell of the trigger, which a map that knows
    nothing is with `pointing_chance`.
    """

    layer_map: Float[Tensor, " n"]
    feature_maps: Float[Tensor, "n k"]
    pointing: Float[Tensor, " n"]
    chance: float
    pointing_chance: float

    def best(self) -> int:
        """The feature map with the greatest mean share."""
        return int(self.feature_maps.mean(0).argmax())

    def rank(self, feature_map: int) -> int:
        """The place of a feature map among all of the layer by its mean share, from 1.

        >>> shares = Shares(torch.zeros(1), torch.tensor([[0.2, 0.9, 0.4]]), torch.zeros(1), 0.1, 0.1)
        >>> shares.rank(2)
        2
        """
        means = self.feature_maps.mean(0)
        return 1 + int((means > means[feature_map]).sum())

    def halves(self) -> tuple["Shares", "Shares"]:
        """Every other image to choose something on, and the rest to measure it on."""
        first, second = (
            Shares(
                self.layer_map[start::2],
                self.feature_maps[start::2],
                self.pointing[start::2],
                self.chance,
                self.pointing_chance,
            )
            for start in (0, 1)
        )
        return first, second


@dataclass(frozen=True)
class Triggered:
    """Triggered images as a trojaned network sees them: the logit of its target class, and the shares of every layer."""

    logits: Float[Tensor, " n"]
    layers: dict[str, Shares]


def triggered(
    network: Network, images: Float[Tensor, "n 3 h w"], trigger: Patch, target_class: int, *, grown: bool = True
) -> Triggered:
    """The shares of every layer on images stamped with the trigger; the maps explain the logit of the attacker's class.

    `grown`, the mask is the trigger grown by one cell of the layer: fair to each layer, whose maps cannot be more precise
    than its cells. Otherwise it is the trigger itself, the same for all: what compares layers.
    """
    masks = {name: _mask(trigger, layer, grown) for name, layer in network.layers.items()}
    logits, parts = [], []
    for batch in images.split(BATCH):
        recording = record(network, trigger.apply(batch), logit(target_class))
        logits.append(recording.scores)
        parts.append({name: _shares(cam, masks[name], trigger.place) for name, cam in grad_cam(recording).items()})
    return Triggered(torch.cat(logits), {name: _joined([part[name] for part in parts]) for name in network.layers})


def of_study(study: Study, name: str, seed: int, *, grown: bool = True) -> Triggered:
    """The same of one of the study's trojaned networks, on its test images of other classes than the target."""
    images, _ = study.test_images(name)
    network = study.network(name, seed)
    return triggered(network, images, study.trigger(name), study.target_class(name), grown=grown)


def most_possible(layer: Layer, mask: Mask) -> float:
    """The largest share of its energy that any map of a layer can have in a mask: that of the best single cell.

    The share of a map is a weighted mean of those of its cells, so none is above the best of them.
    """
    height, width = layer.size
    cells = torch.eye(height * width).view(1, -1, height, width)
    size = (mask.shape[0], mask.shape[1])
    return float(energy_in_mask(laid_over(cells, layer.placement, size), mask).nan_to_num(0).max())


def _mask(trigger: Patch, layer: Layer, grown: bool) -> Mask:
    return dilated(trigger.place, layer.placement.cell) if grown else trigger.place


def _shares(cam: Attribution, mask: Mask, support: Mask) -> Shares:
    cell = cam.placement.cell
    return Shares(
        layer_map=layer_energy(cam, mask).nan_to_num(0),
        feature_maps=feature_map_energy(cam, mask).nan_to_num(0),
        pointing=pointing_game(cam.heatmap(), support, cell).nan_to_num(0),
        chance=float(mask.float().mean()),
        pointing_chance=chance_levels(support, cell).pointing,
    )


def _joined(parts: list[Shares]) -> Shares:
    first = parts[0]
    return Shares(
        torch.cat([part.layer_map for part in parts]),
        torch.cat([part.feature_maps for part in parts]),
        torch.cat([part.pointing for part in parts]),
        first.chance,
        first.pointing_chance,
    )
