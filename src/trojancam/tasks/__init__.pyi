from . import (
    cleanse,
    compare,
    demo,
    explain,
    inspect,
    repair,
    reproduce,
    results,
    scan,
    sift,
    stimulate,
    train,
)

__all__ = [
    "cleanse",
    "compare",
    "demo",
    "explain",
    "inspect",
    "repair",
    "reproduce",
    "results",
    "scan",
    "sift",
    "stimulate",
    "train",
]
