from . import (
    compare,
    demo,
    explain,
    inspect,
    scan,
    stimulate,
)

__all__ = [
    "compare",
    "demo",
    "explain",
    "inspect",
    "scan",
    "stimulate",
]
