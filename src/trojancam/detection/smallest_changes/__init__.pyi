from . import (
    detector,
    search,
    smallest_stripes,
)

__all__ = [
    "detector",
    "search",
    "smallest_stripes",
]
