from . import (
    demo,
)

__all__ = [
    "demo",
]
