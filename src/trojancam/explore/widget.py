"""Widget: the explorer in a notebook's cell: sliders for image, layer, feature map and strength, and the answer.

It needs `anywidget`: `pip install 'trojancam[notebook]'`.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

try:
    import anywidget
    import traitlets
except ImportError as missing:
    from trojancam.errors import Remedy, TrojanCamError

    raise TrojanCamError("the widget needs anywidget", Remedy.INSTALL, detail="'trojancam[notebook]'") from missing

from trojancam.attribution import grad_cam
from trojancam.attribution.attribution import FeatureMapAttribution
from trojancam.explore.wire import png_address
from trojancam.figures.colour import ColourScale, dimmed
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.stimulation import Stimulation, stimulate

MOST = 8.0  # times a map's clean peak: the end of the slider
SIDE = 224  # pixels of the picture's height, at least
STYLE = """
.trojancam-widget { display: grid; gap: 6px; max-width: 460px; font: 13px/1.4 system-ui, sans-serif; }
.trojancam-widget img { width: 100%; image-rendering: pixelated; }
.trojancam-widget p { margin: 0; }
.trojancam-widget label { display: grid; grid-template-columns: 90px 1fr 90px; gap: 8px; align-items: center; }
"""


class MapWidget(anywidget.AnyWidget):
    """Images of a network with one feature map's heat over them, and what the network says while that map is stimulated.

    `strength` counts in the map's largest activation over the images given; 0 leaves the network alone. What is drawn explains
    the class that is predicted without stimulation.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> shown = MapWidget(network, torch.rand(3, 3, 8, 8))
    >>> shown.feature_map = 2
    >>> shown.strength = 1.5
    >>> shown.words.split(":")[0]
    '0, feature map 2, at 1.5 times its peak'
    """

    _esm: ClassVar = Path(__file__).with_name("widget.js")
    _css: ClassVar = STYLE

    image = traitlets.Int(0, min=0).tag(sync=True)
    layer = traitlets.Int(0, min=0).tag(sync=True)
    feature_map = traitlets.Int(0, min=0).tag(sync=True)
    strength = traitlets.Float(0.0, min=0.0, max=MOST).tag(sync=True)
    last_image = traitlets.Int(0).tag(sync=True)
    last_layer = traitlets.Int(0).tag(sync=True)
    last_map = traitlets.Int(0).tag(sync=True)
    most = traitlets.Float(MOST).tag(sync=True)
    layer_name = traitlets.Unicode("").tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)
    picture = traitlets.Unicode("").tag(sync=True)

    def __init__(self, network: Network, images: given.GivenImages, **options: Any) -> None:
        """Look at images with a network.

        Raises:
            DataError: if the network cannot take the images.
        """
        super().__init__(**options)
        self._network, self._images = network, given.images(network, images)
        self._names = list(network.layers)
        self.last_image, self.last_layer = len(self._images) - 1, len(self._names) - 1
        self._peaks: dict[str, Tensor] = {}
        self.observe(self._answer, ["image", "layer", "feature_map", "strength"])
        self._answer()

    def _answer(self, _: object = None) -> None:
        """Draw, and say what the network says."""
        network, image = self._network, min(self.image, self.last_image)
        self.layer_name = name = self._names[min(self.layer, self.last_layer)]
        self.last_map = network.layer(name).feature_maps - 1
        number = min(self.feature_map, self.last_map)
        seen = self._images[image : image + 1]
        logits = network(seen)[0]
        predicted = int(logits.argmax())
        said = _said(network, logits)
        if self.strength > 0:
            deed = Stimulation(name, number, value=self.strength * self._peak(name, number))
            after = stimulate(network, seen, deed, logit(predicted)).after
            cam, said = grad_cam(after)[name], f"{said} → {_said(network, after.logits[0])}"
            how = f"at {self.strength:g} times its peak"
        else:
            cam, how = grad_cam(record(network, seen, logit(predicted), [name]))[name], "as it is"
        assert isinstance(cam, FeatureMapAttribution)
        self.words = f"{name}, feature map {number}, {how}: {said}"
        self.picture = _drawn(seen[0].cpu(), cam.feature_map_heatmaps(number)[0].cpu())

    def _peak(self, name: str, number: int) -> float:
        """The largest activation of a feature map over the images; 1 where it is silent."""
        if name not in self._peaks:
            self._peaks[name] = (
                record(self._network, self._images, layers=[name]).layers[name].activations.amax((0, 2, 3))
            )
        return float(self._peaks[name][number]) or 1.0


def _said(network: Network, logits: Float[Tensor, " classes"]) -> str:
    """The class predicted and its probability."""
    index = int(logits.argmax())
    return f"“{network.class_names[index]}” {float(logits.softmax(0)[index]):.0%}"


def _drawn(image: Float[Tensor, "3 h w"], heat: Float[Tensor, "h w"]) -> str:
    """The image, and beside it the map's heat over the image, pixel by pixel, enlarged by a whole number."""
    plain = image.permute(1, 2, 0).double().numpy()
    pair = np.concatenate([plain, ColourScale.of(heat).over(heat, dimmed(image))], axis=1)
    factor = max(1, SIDE // image.shape[1])
    shades = (255 * pair.clip(0, 1)).round().astype(np.uint8)
    return png_address(shades.repeat(factor, 0).repeat(factor, 1))
