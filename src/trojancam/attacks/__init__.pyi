from . import (
    patch,
    poisoning,
)
from .patch import PLACES, PRESETS, Trigger, corner, from_image, make_trigger, square
from .poisoning import Poisoning, poison, poisoned_indices

__all__ = [
    "PLACES",
    "PRESETS",
    "Poisoning",
    "Trigger",
    "corner",
    "from_image",
    "make_trigger",
    "patch",
    "poison",
    "poisoned_indices",
    "poisoning",
    "square",
]
