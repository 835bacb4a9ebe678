from . import (
    encoding,
    patch,
    poisoning,
    trigger,
)
from .patch import PLACES, PRESETS, Patch, corner, from_image, make_trigger, square
from .poisoning import Poisoning, poison, poisoned_indices
from .trigger import Trigger

__all__ = [
    "PLACES",
    "PRESETS",
    "Patch",
    "Poisoning",
    "Trigger",
    "corner",
    "encoding",
    "from_image",
    "make_trigger",
    "patch",
    "poison",
    "poisoned_indices",
    "poisoning",
    "square",
    "trigger",
]
