from . import (
    backgrounds,
    balanced,
    camera,
    canvas,
    designs,
    household,
    lettering,
    materials,
    objects,
    outdoors,
    photographs,
    pictograms,
    plates,
    scenes,
    signs,
    surfaces,
    templates,
)
from .backgrounds import BACKGROUNDS
from .designs import OBJECT_NAMES
from .objects import render_objects, rendered_objects
from .signs import render_images, rendered_signs
from .templates import sign_templates

__all__ = [
    "BACKGROUNDS",
    "OBJECT_NAMES",
    "backgrounds",
    "balanced",
    "camera",
    "canvas",
    "designs",
    "household",
    "lettering",
    "materials",
    "objects",
    "outdoors",
    "photographs",
    "pictograms",
    "plates",
    "render_images",
    "render_objects",
    "rendered_objects",
    "rendered_signs",
    "scenes",
    "sign_templates",
    "signs",
    "surfaces",
    "templates",
]
