from . import (
    detector,
    drive_levels,
    maps,
    optimised,
    windows,
)

__all__ = [
    "detector",
    "drive_levels",
    "maps",
    "optimised",
    "windows",
]
