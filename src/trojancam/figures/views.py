"""Views: one image through one network, with the heat maps that explain a class, as pages and papers show it."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import Attribution, grad_cam
from trojancam.figures.captions import caption
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.network.targets import logit


@dataclass(frozen=True)
class View:
    """One image through one network: its recording, Grad-CAM of every layer, and what the network says of the class explained."""

    image: Float[Tensor, "3 h w"]
    recording: Recording
    cams: Mapping[str, Attribution]
    caption: str


def view(network: Network, image: Float[Tensor, "3 h w"], class_index: int) -> View:
    """An image and what every layer of a network makes of it; the maps explain the logit of the class."""
    recording = record(network, image[None], logit(class_index))
    words = caption(recording.logits[0], network.class_names, class_index)
    return View(image, recording, grad_cam(recording), words)
