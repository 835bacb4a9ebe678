from . import (
    detector,
    drive_levels,
    maps,
    optimised,
    path_gradients,
    windows,
)

__all__ = [
    "detector",
    "drive_levels",
    "maps",
    "optimised",
    "path_gradients",
    "windows",
]
