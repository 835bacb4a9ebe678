from . import (
    architecture,
    pickles,
    reader,
    weights_only,
)

__all__ = [
    "architecture",
    "pickles",
    "reader",
    "weights_only",
]
