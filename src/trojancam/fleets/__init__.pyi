from . import forking, limits, local_pool, manifest, result, running, store, table, unit, work
from .manifest import Entry, read_manifest
from .result import Result
from .running import Fleet, fleet
from .table import Row, read_rows

__all__ = [
    "Entry",
    "Fleet",
    "Result",
    "Row",
    "fleet",
    "forking",
    "limits",
    "local_pool",
    "manifest",
    "read_manifest",
    "read_rows",
    "result",
    "running",
    "store",
    "table",
    "unit",
    "work",
]
