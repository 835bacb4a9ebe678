from . import (
    compare,
    demo,
    explain,
    inspect,
    results,
    scan,
    stimulate,
)

__all__ = [
    "compare",
    "demo",
    "explain",
    "inspect",
    "results",
    "scan",
    "stimulate",
]
