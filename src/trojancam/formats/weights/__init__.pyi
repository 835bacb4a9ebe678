from . import (
    architecture,
    fitting,
    inert,
    own_code,
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
    "own_code",
    "pickles",
    "plain_data",
    "reader",
    "state_dicts",
    "tensors",
]
