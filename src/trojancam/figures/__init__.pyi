from . import (
    atlas,
    captions,
    class_matrix,
    colour,
    curves,
    grid,
    intervals,
    layout,
    panels,
    saving,
    scan,
    stimulate,
    views,
)
from .captions import caption, describe
from .colour import COLOUR_MAPS, ColourScale
from .curves import removal_curves
from .grid import SCALES, feature_map_grid
from .panels import cell_map, image_row, layer_row, overlay
from .saving import FORMATS, labels_of, save, to_data_uri, to_png_bytes
from .stimulate import before_after, dose_curves

__all__ = [
    "COLOUR_MAPS",
    "FORMATS",
    "SCALES",
    "ColourScale",
    "atlas",
    "before_after",
    "caption",
    "captions",
    "cell_map",
    "class_matrix",
    "colour",
    "curves",
    "describe",
    "dose_curves",
    "feature_map_grid",
    "grid",
    "image_row",
    "intervals",
    "labels_of",
    "layer_row",
    "layout",
    "overlay",
    "panels",
    "removal_curves",
    "save",
    "saving",
    "scan",
    "stimulate",
    "to_data_uri",
    "to_png_bytes",
    "views",
]
