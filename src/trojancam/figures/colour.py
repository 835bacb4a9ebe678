"""Colour: values as colours on a scale with real limits, and heat laid over an image.

The heat grows darker and redder over an image made pale, as on paper: it is ordered by lightness, so that a figure also
reads in grey, and red speaks for the class in the signed view too. `jet`, the field's habit, is there for comparison
with older pictures.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from numpy.typing import NDArray
from torch import Tensor

from trojancam.errors import unknown_name
from trojancam.figures.captions import ZERO

Array = NDArray[np.float64]

COLOUR_MAPS = ("OrRd", "inferno", "viridis", "jet")
"""The colour maps that heat can be drawn in."""
DIVERGING = "RdBu_r"
DIMMED = 0.55  # how far the grey image under the heat is drawn towards white
STRONGEST, RISE = 0.95, 0.8  # opacity is STRONGEST * heat ** RISE: some of the image always shines through


@dataclass(frozen=True)
class ColourScale:
    """Colours for values from 0 to `limit`, or from `-limit` to `limit` where they are signed."""

    limit: float
    signed: bool = False
    colours: str = COLOUR_MAPS[0]

    def __post_init__(self) -> None:
        if self.colours not in COLOUR_MAPS:
            raise unknown_name("colour map", self.colours, COLOUR_MAPS)

    @classmethod
    def of(cls, values: Float[Tensor, "..."], signed: bool = False, colours: str = COLOUR_MAPS[0]) -> "ColourScale":
        """The scale that just holds these values.

        >>> ColourScale.of(torch.tensor([-3.0, 2.0]), signed=True).limit
        3.0
        """
        return cls(float((values.abs() if signed else values.relu()).amax()), signed, colours)

    @property
    def blank(self) -> bool:
        """Whether there is nothing to draw."""
        return self.limit <= ZERO

    @property
    def ticks(self) -> list[float]:
        """The values to print beside a colour bar: its ends and its middle."""
        return [-self.limit, 0.0, self.limit] if self.signed else [0.0, self.limit / 2, self.limit]

    def rgb(self, values: Float[Tensor, "*shape"]) -> Array:
        """The colours of values, `*shape 3`."""
        return np.asarray(self._plain()(self._norm()(values.numpy(force=True))))[..., :3]

    def over(self, values: Float[Tensor, "*shape"], base: Array) -> Array:
        """The colours of values laid over an RGB image: the hotter a place, the less of the image shows."""
        heat = np.abs(values.numpy(force=True)) / (self.limit if not self.blank else 1.0)
        opacity = STRONGEST * (heat.clip(0, 1) ** RISE)[..., None]
        return np.asarray(opacity * self.rgb(values) + (1 - opacity) * base)

    def mappable(self, laid_over: bool) -> ScalarMappable:
        """What a colour bar needs; `laid_over` shows the colours as they come out over a middling grey."""
        if not laid_over:
            return ScalarMappable(self._norm(), self._plain())
        steps = torch.linspace(-self.limit if self.signed else 0.0, self.limit, 256)
        colours = self.over(steps, np.full((256, 3), 1 - DIMMED / 2))
        return ScalarMappable(self._norm(), ListedColormap(colours.tolist()))

    def _norm(self) -> Normalize:
        top = 1.0 if self.blank else self.limit
        return Normalize(-top if self.signed else 0.0, top)

    def _plain(self) -> matplotlib.colors.Colormap:
        return matplotlib.colormaps[DIVERGING if self.signed else self.colours]


def pixels(image: Float[Tensor, "3 h w"]) -> Array:
    """An image as matplotlib takes it: `h w 3` in [0, 1]."""
    return np.asarray(image.detach().permute(1, 2, 0).double().clamp(0, 1).numpy(force=True))


def dimmed(image: Float[Tensor, "3 h w"]) -> Array:
    """The image in pale grey at its full contrast, `h w 3`, so that every colour laid over it is heat."""
    grey = pixels(image) @ np.array([0.299, 0.587, 0.114])
    low, high = np.quantile(grey, [0.01, 0.99])
    grey = ((grey - low) / max(high - low, 0.05)).clip(0, 1)
    return np.repeat((1 - (1 - grey) * (1 - DIMMED))[..., None], 3, axis=2)
