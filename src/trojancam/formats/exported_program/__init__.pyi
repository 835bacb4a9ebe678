from . import (
    allowed,
    arguments,
    expressions,
    module,
    output_names,
    reader,
    rehearsal,
    steps,
)

__all__ = [
    "allowed",
    "arguments",
    "expressions",
    "module",
    "output_names",
    "reader",
    "rehearsal",
    "steps",
]
