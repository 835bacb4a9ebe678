from . import (
    comparison,
    imputation,
    known_pixels,
    localisation,
    perturbation,
    perturbation_curves,
    randomisation,
    reliability,
    road,
    statistics,
    trigger_energy,
    verdict,
)

__all__ = [
    "comparison",
    "imputation",
    "known_pixels",
    "localisation",
    "perturbation",
    "perturbation_curves",
    "randomisation",
    "reliability",
    "road",
    "statistics",
    "trigger_energy",
    "verdict",
]
