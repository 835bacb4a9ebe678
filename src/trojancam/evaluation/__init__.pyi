from . import (
    comparison,
    imputation,
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
