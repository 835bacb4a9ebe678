"""Attacks: what an attacker does to an image, and to a training set."""

from trojancam.attacks.patch import PLACES, PRESETS, Trigger, corner, from_image, make_trigger, square
from trojancam.attacks.poisoning import Poisoning, poison, poisoned_indices

__all__ = [
    "PLACES",
    "PRESETS",
    "Poisoning",
    "Trigger",
    "corner",
    "from_image",
    "make_trigger",
    "poison",
    "poisoned_indices",
    "square",
]
