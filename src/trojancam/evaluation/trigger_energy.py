"""Trigger energy: which layers and feature maps show a known trigger, as shares of heat-map energy over many images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.attribution import grad_cam
from trojancam.evaluation.localisation import dilated, feature_map_energy, layer_energy
from trojancam.network import given
from trojancam.network.input import FLOAT
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.showing import Brief


@dataclass(frozen=True)
class LayerEnergy(Brief):
    """Mean shares of Grad-CAM energy where the trigger changes an image, grown by one cell of the layer; blank counts as 0.

    `chance` is the share of the image that this is, mean over the images. `layer_map` and `feature_maps` (one each) are the
    means over the images; `blank` and `blank_maps` are the shares of images on which the map has no energy at all.
    """

    layer: str
    chance: float
    layer_map: float
    blank: float
    feature_maps: tuple[float, ...]
    blank_maps: tuple[float, ...]

    @property
    def best(self) -> int:
        """The feature map that holds most of its energy in the trigger."""
        return max(range(len(self.feature_maps)), key=self.feature_maps.__getitem__)


def trigger_energy(
    network: Network, images: given.GivenImages, trigger: Trigger, target_class: given.GivenClass
) -> dict[str, LayerEnergy]:
    """How much of the energy of each layer's map, and of each single feature map, lies in the trigger on stamped images.

    The maps explain the logit of the attacker's class.

    Raises:
        DataError: if the network cannot take the images, or the trigger is made for others.
        UnknownNameError: if there is no such class.
    """
    target = logit(given.target_class(network, target_class))
    layer_shares: dict[str, list[Tensor]] = {name: [] for name in network.layers}
    map_shares: dict[str, list[Tensor]] = {name: [] for name in network.layers}
    chances: dict[str, list[Tensor]] = {name: [] for name in network.layers}
    images = given.images(network, images)
    height, width = images.shape[-2:]
    most = max(layer.feature_maps for layer in network.layers.values())
    for batch in images.split(network.rows(gradients=True, beside=FLOAT * height * width * most)):
        changed = trigger.changed(batch)
        for name, cam in grad_cam(record(network, trigger.apply(batch), target)).items():
            near = dilated(changed, network.layer(name).placement.cell)
            chances[name].append(near.double().mean((1, 2)))
            layer_shares[name].append(layer_energy(cam, near))
            map_shares[name].append(feature_map_energy(cam, near))
    shares = {name: (torch.cat(layer_shares[name]), torch.cat(map_shares[name])) for name in network.layers}
    return {name: _summary(name, float(torch.cat(chances[name]).mean()), *shares[name]) for name in network.layers}


def _summary(name: str, chance: float, layer: Tensor, maps: Tensor) -> LayerEnergy:
    return LayerEnergy(
        layer=name,
        chance=chance,
        layer_map=float(layer.nan_to_num(0).mean()),
        blank=float(layer.isnan().float().mean()),
        feature_maps=tuple(maps.nan_to_num(0).mean(0).tolist()),
        blank_maps=tuple(maps.isnan().float().mean(0).tolist()),
    )
