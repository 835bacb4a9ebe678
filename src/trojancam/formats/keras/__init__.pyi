from . import (
    allowed,
    arrays,
    calls,
    configuration,
    contents,
    embedded_code,
    hdf5_listing,
    module,
    own_classes,
    plain_values,
    reader,
    writing_back,
)

__all__ = [
    "allowed",
    "arrays",
    "calls",
    "configuration",
    "contents",
    "embedded_code",
    "hdf5_listing",
    "module",
    "own_classes",
    "plain_values",
    "reader",
    "writing_back",
]
