"""Scan: a network and clean images become findings, and a verdict. No detector sees a trigger, a mask or a target.

`trojancam.scan(...)` is the function `scan` and `trojancam.scan.suspect` the module, in whichever order they are imported:
this package can be called.
"""

import sys
from types import ModuleType
from typing import Any

from trojancam.scan.findings import Finding, Opinion, ScanReport
from trojancam.scan.scanning import DEFAULT_METHODS, DETECTORS, scan
from trojancam.scan.validation import Validation, validated

__all__ = ["DEFAULT_METHODS", "DETECTORS", "Finding", "Opinion", "ScanReport", "Validation", "scan", "validated"]


class _Package(ModuleType):
    """This package, which does what `scan` does when it is called."""

    __wrapped__ = staticmethod(scan)  # its signature, for help() and notebooks

    def __call__(self, *arguments: Any, **options: Any) -> ScanReport:
        return scan(*arguments, **options)


sys.modules[__name__].__class__ = _Package
