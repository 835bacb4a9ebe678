from . import (
    allowed,
    arrays,
    configuration,
    contents,
    embedded_code,
    hdf5_listing,
    module,
    own_classes,
    reader,
)

__all__ = [
    "allowed",
    "arrays",
    "configuration",
    "contents",
    "embedded_code",
    "hdf5_listing",
    "module",
    "own_classes",
    "reader",
]
