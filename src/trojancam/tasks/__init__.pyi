from . import (
    compare,
    demo,
    explain,
    inspect,
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
    "reproduce",
    "results",
    "scan",
    "stimulate",
]
