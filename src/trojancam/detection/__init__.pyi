from . import (
    abs,
    detector,
    findings,
    inversion,
    journal,
    neural_cleanse,
    outliers,
    scanning,
    stimulation_maps,
    success,
    suspect,
    validation,
)
from .findings import Finding, Opinion, ScanReport
from .scanning import DEFAULT_METHODS, DETECTORS, scan
from .validation import Validation, validated

__all__ = [
    "DEFAULT_METHODS",
    "DETECTORS",
    "Finding",
    "Opinion",
    "ScanReport",
    "Validation",
    "abs",
    "detector",
    "findings",
    "inversion",
    "journal",
    "neural_cleanse",
    "outliers",
    "scan",
    "scanning",
    "stimulation_maps",
    "success",
    "suspect",
    "validated",
    "validation",
]
