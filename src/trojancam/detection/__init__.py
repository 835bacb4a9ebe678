"""Detection: a network and clean images become findings, and a verdict. No detector sees a trigger, a mask or a target."""

from trojancam.detection.findings import Finding, Opinion, ScanReport
from trojancam.detection.scanning import DEFAULT_METHODS, DETECTORS, scan
from trojancam.detection.validation import Validation, validated

__all__ = ["DEFAULT_METHODS", "DETECTORS", "Finding", "Opinion", "ScanReport", "Validation", "scan", "validated"]
