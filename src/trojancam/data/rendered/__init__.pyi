from . import (
    backgrounds,
    camera,
    canvas,
    lettering,
    pictograms,
    plates,
    scenes,
    signs,
    templates,
)
from .backgrounds import BACKGROUNDS
from .signs import render_images, rendered_signs
from .templates import sign_templates

__all__ = [
    "BACKGROUNDS",
    "backgrounds",
    "camera",
    "canvas",
    "lettering",
    "pictograms",
    "plates",
    "render_images",
    "rendered_signs",
    "scenes",
    "sign_templates",
    "signs",
    "templates",
]
