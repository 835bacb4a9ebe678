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
    train,
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
    "train",
]
