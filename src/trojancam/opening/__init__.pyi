from . import (
    open,
    preprocessing,
)
from .open import load, network_of

__all__ = [
    "load",
    "network_of",
    "open",
    "preprocessing",
]
