from . import (
    abs,
    detector,
    findings,
    inversion,
    neural_cleanse,
    one_to_one,
    outliers,
    scanning,
    settings,
    smallest_changes,
    stimulation_maps,
    success,
    suspect,
    validation,
    words,
)
from .detector import Detector, Job, concluded
from .findings import Finding, Opinion, ScanReport
from .scanning import DEFAULT_METHODS, DETECTORS, scan
from .settings import Settings
from .suspect import Suspect
from .validation import Validation, validated

__all__ = [
    "DEFAULT_METHODS",
    "DETECTORS",
    "Detector",
    "Finding",
    "Job",
    "Opinion",
    "ScanReport",
    "Settings",
    "Suspect",
    "Validation",
    "abs",
    "concluded",
    "detector",
    "findings",
    "inversion",
    "neural_cleanse",
    "one_to_one",
    "outliers",
    "scan",
    "scanning",
    "settings",
    "smallest_changes",
    "stimulation_maps",
    "success",
    "suspect",
    "validated",
    "validation",
    "words",
]
