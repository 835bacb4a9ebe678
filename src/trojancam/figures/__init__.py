"""Figures: results as pictures. Every function takes a result and gives a matplotlib `Figure`; none keeps any state.

A picture shows the image's own pixels (never smoothed), heat maps with a colour bar of their real values, and says in
words what cannot be seen: that a map is blank, or that each map has a scale of its own.
"""

from trojancam.figures.captions import caption, describe
from trojancam.figures.colour import COLOUR_MAPS, ColourScale
from trojancam.figures.curves import removal_curves
from trojancam.figures.files import FORMATS, save, to_data_uri, to_png_bytes
from trojancam.figures.grid import SCALES, feature_map_grid
from trojancam.figures.panels import cell_map, image_row, layer_row, overlay
from trojancam.figures.stimulation import before_after, dose_curves

__all__ = [
    "COLOUR_MAPS",
    "FORMATS",
    "SCALES",
    "ColourScale",
    "before_after",
    "caption",
    "cell_map",
    "describe",
    "dose_curves",
    "feature_map_grid",
    "image_row",
    "layer_row",
    "overlay",
    "removal_curves",
    "save",
    "to_data_uri",
    "to_png_bytes",
]
