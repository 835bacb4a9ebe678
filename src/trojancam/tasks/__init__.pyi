from . import (
    compare,
    demo,
    explain,
    inspect,
    repair,
    reproduce,
    results,
    scan,
    stimulate,
)

__all__ = [
    "compare",
    "demo",
    "explain",
    "inspect",
    "repair",
    "reproduce",
    "results",
    "scan",
    "stimulate",
]
