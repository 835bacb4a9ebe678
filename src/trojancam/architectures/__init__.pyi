from . import (
    catalogue,
    pooled,
    study_networks,
)
from .catalogue import ARCHITECTURES, Architecture, architecture, count_parameters

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "architecture",
    "catalogue",
    "count_parameters",
    "pooled",
    "study_networks",
]
