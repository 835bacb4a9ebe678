from . import (
    architecture,
    fitting,
    inert,
    pickles,
    plain_data,
    reader,
    state_dicts,
    tensors,
)

__all__ = [
    "architecture",
    "fitting",
    "inert",
    "pickles",
    "plain_data",
    "reader",
    "state_dicts",
    "tensors",
]
