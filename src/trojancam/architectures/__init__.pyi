from . import (
    catalogue,
    pooled,
    study,
)
from .catalogue import ARCHITECTURES, Architecture, architecture, count_parameters

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "architecture",
    "catalogue",
    "count_parameters",
    "pooled",
    "study",
]
