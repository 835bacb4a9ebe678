from . import (
    detector,
    search,
)

__all__ = [
    "detector",
    "search",
]
