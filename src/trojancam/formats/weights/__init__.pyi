from . import (
    architecture,
    checkpoint,
    fitting,
    inert,
    pickles,
    plain_data,
    reader,
    tensors,
)

__all__ = [
    "architecture",
    "checkpoint",
    "fitting",
    "inert",
    "pickles",
    "plain_data",
    "reader",
    "tensors",
]
