"""Stimulating: what one stimulation does to a batch of images, with the heat maps of the layers before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attribution import Attribution, grad_cam
from trojancam.errors import unknown_name
from trojancam.network import given
from trojancam.network.batches import GatheredRecords
from trojancam.network.network import Network
from trojancam.network.placement import laid_over
from trojancam.network.recording import Recording, portions, record, recorded
from trojancam.network.replay import Replay, replay
from trojancam.network.targets import Target, logit
from trojancam.rates import GivenClasses, attack_success_rate
from trojancam.showing import Named, Shown
from trojancam.stimulation.edits import Stimulations, as_tuple, edits, stimulated_cells, the_layer
from trojancam.stimulation.stimulation import Stimulation

GRADIENTS = ("cut", "straight-through")
"""Where the gradients of a stimulated network end: at the edited layer, or at the image."""
PREDICTED = replace(logit(), name="logit of the class predicted when stimulated")

Images = Float[Tensor, "n 3 h w"]
Activations = Float[Tensor, "n k h w"]


@dataclass(frozen=True)
class Stimulated(Shown):
    """A batch of images before and after their stimulation: two recordings of the same layers and the same score.

    `peaks` are the largest clean activations of the layer's feature maps, in which strengths may be counted.
    """

    stimulations: tuple[Stimulation, ...]
    before: Recording
    after: Recording
    peaks: Float[Tensor, " k"]

    @property
    def layer(self) -> str:
        """The layer that was stimulated."""
        return self.stimulations[0].layer

    @cached_property
    def cams_before(self) -> Named[Attribution]:
        """Grad-CAM of the images as they are, by layer."""
        return grad_cam(self.before)

    @cached_property
    def cams_after(self) -> Named[Attribution]:
        """Grad-CAM of the stimulated activations, by layer."""
        return grad_cam(self.after)

    def difference(self, layer: str) -> Float[Tensor, "n height width"]:
        """The heat map of a layer after less that before, at the size of the image: signed.

        Raises:
            UnknownNameError: if the layer was not recorded.
        """
        if layer not in self.after.layers:
            raise unknown_name("recorded layer", layer, self.after.layers)
        return self.cams_after[layer].heatmap() - self.cams_before[layer].heatmap()

    @property
    def cells(self) -> Bool[Tensor, "h w"]:
        """The cells of the layer that are stimulated."""
        height, width = self.before.layers[self.layer].activations.shape[2:]
        return stimulated_cells(self.stimulations, (height, width))

    @property
    def place(self) -> Bool[Tensor, "height width"]:
        """The pixels whose nearest cell is stimulated."""
        placement = self.before.layers[self.layer].placement
        return laid_over(self.cells[None, None].float(), placement, self.before.image_size, smooth=False)[0, 0] > 0

    def success_rate(self, target_class: int, labels: GivenClasses | None = None) -> float:
        """The stimulation ASR: the share of images of other classes that the stimulation sends to a class; NaN without any.

        An image's own class is its label, or what is predicted for it as it is.
        """
        own = self.before.logits.argmax(1) if labels is None else labels
        return attack_success_rate(self.after.logits.argmax(1), own, target_class)


def stimulate(
    network: Network,
    images: given.GivenImages,
    stimulation: Stimulations,
    target: given.GivenTarget = None,
    *,
    gradient: str = "cut",
) -> Stimulated:
    """Stimulate a layer of a batch of images: logits, activations and gradients, before and after.

    Several stimulations of one layer are applied one after the other. Images and target are as for `record`; without a
    target, it is the logit of the class predicted when stimulated. The same score is explained before and after. `gradient`
    says where its gradients end. `cut`: at the stimulated layer, whose activations are given; that layer and those that
    depend on it are recorded. `straight-through`: nowhere, for the stimulation counts as the identity, `dy/dA = dy/dA'`; all
    layers are recorded.

    Raises:
        UnknownNameError: if the layer, a feature map, the target's class or the kind of gradient does not exist.
        DataError: if a stimulation does not fit the layer, there is none, or they are of several layers; if the network
            cannot take the images, or the target does not give one finite score for each.
        ModelError: if the network's logits are not finite.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> found = stimulate(network, torch.rand(5, 3, 8, 8), Stimulation("0", 2, value=3.0, window=(0, 3, 3, 3)))
    >>> found.after.logits.shape, found.cams_after["0"].contributions.shape, int(found.place.sum())
    (torch.Size([5, 2]), torch.Size([5, 4, 6, 6]), 16)
    """
    given.check_network(network)
    stimulations = as_tuple(stimulation)
    layer = the_layer(stimulations)
    if gradient not in GRADIENTS:
        raise unknown_name("kind of gradient", gradient, GRADIENTS)
    network.layer(layer)
    images = given.images(network, images)
    wanted = None if target is None else given.target(network, target)
    later = network.layers_after(layer) if gradient == "cut" else ()
    with torch.inference_mode(False):
        clean = replay(network, layer, images, later)
        reached = clean.peaks()
        rows = clean.rows(gradients=True) if gradient == "cut" else network.rows(gradients=True)
        after = GatheredRecords[Recording](len(images))
        for part, score in portions(wanted or PREDICTED, len(images), rows, network.device):
            some = clean.of(part)
            edited = edited_once(network, some, stimulations, reached)
            if gradient == "cut":
                after.add(recorded_from(network, layer, some, edited, later, score))
            else:
                after.add(_straight_through(network, layer, images[part], edited - some.activations, score))
        found = after.whole
        before = record(network, images, settled(wanted, found.logits), found.layers)
    return Stimulated(stimulations, before, found, reached)


def settled(target: Target | None, logits: Float[Tensor, "n classes"]) -> Target:
    """The target with its classes chosen: where it is that of the predicted class, of the one these logits predict."""
    return (target or PREDICTED).settled(logits)


def edited_once(
    network: Network, clean: Replay, stimulations: tuple[Stimulation, ...], peaks: Float[Tensor, " k"]
) -> Activations:
    """A copy of a layer's clean activations, stimulated."""
    copy = clean.copies(1)
    edits(network, [stimulations], peaks).edit(copy.activations)
    return copy.activations[0]


def recorded_from(
    network: Network, layer: str, clean: Replay, edited: Activations, later: Sequence[str], target: Target
) -> Recording:
    """The layers from this one on, where the edited activations are where all begins."""
    with torch.enable_grad():
        logits, values = clean.edited(edited.requires_grad_())
        layers = {layer: edited} | dict(zip(later, values, strict=True))
        return recorded(network, logits, layers, target.settled(logits.detach()))


def _straight_through(
    network: Network, layer: str, images: Images, shift: Float[Tensor, "n k rows columns"], target: Target
) -> Recording:
    """All layers, where the edit is a constant that is added on the way."""
    with torch.enable_grad():
        inputs = network.inputs(images.detach().clone()).requires_grad_()
        logits, values = network.forward_shifted(inputs, layer, shift, network.layers)
        layers = dict(zip(network.layers, values, strict=True))
        return recorded(network, logits, layers, target.settled(logits.detach()))
