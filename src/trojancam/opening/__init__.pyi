from . import feeding, images, open, output_choice, placed_weights, preprocessing, saving
from .feeding import with_feeding_found
from .images import fitted_to, labelled_images
from .open import ModelFile, load, opened

__all__ = [
    "ModelFile",
    "feeding",
    "fitted_to",
    "images",
    "labelled_images",
    "load",
    "open",
    "opened",
    "output_choice",
    "placed_weights",
    "preprocessing",
    "saving",
    "with_feeding_found",
]
