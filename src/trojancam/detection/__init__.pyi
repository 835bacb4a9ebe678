from . import (
    abs,
    accuracy,
    budget,
    coverage,
    detector,
    findings,
    inversion,
    judgement,
    layer_rates,
    neural_cleanse,
    one_to_one,
    outliers,
    references,
    scanning,
    settings,
    smallest_changes,
    stamps,
    stimulation_maps,
    success,
    suspect,
    track_record,
    validation,
    words,
)
from .coverage import CannotSearchError, Coverage
from .detector import Detector, Job, concluded
from .findings import Finding, ScanReport
from .judgement import Judgement, Opinion
from .references import Reference
from .scanning import DEFAULT_METHODS, DETECTORS, scan
from .settings import Settings
from .suspect import Suspect
from .track_record import TrackRecord
from .validation import Validation, validated

__all__ = [
    "DEFAULT_METHODS",
    "DETECTORS",
    "CannotSearchError",
    "Coverage",
    "Detector",
    "Finding",
    "Job",
    "Judgement",
    "Opinion",
    "Reference",
    "ScanReport",
    "Settings",
    "Suspect",
    "TrackRecord",
    "Validation",
    "abs",
    "accuracy",
    "budget",
    "concluded",
    "coverage",
    "detector",
    "findings",
    "inversion",
    "judgement",
    "layer_rates",
    "neural_cleanse",
    "one_to_one",
    "outliers",
    "references",
    "scan",
    "scanning",
    "settings",
    "smallest_changes",
    "stamps",
    "stimulation_maps",
    "success",
    "suspect",
    "track_record",
    "validated",
    "validation",
    "words",
]
