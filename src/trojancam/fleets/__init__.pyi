from . import (
    dask_cluster,
    dask_pool,
    fleet_page,
    for_machines,
    forking,
    limits,
    local_pool,
    manifest,
    population,
    result,
    running,
    store,
    table,
    tied,
    unit,
    work,
)
from .manifest import Entry, read_manifest
from .result import Result
from .running import Fleet, fleet
from .table import Row, read_rows

__all__ = [
    "Entry",
    "Fleet",
    "Result",
    "Row",
    "dask_cluster",
    "dask_pool",
    "fleet",
    "fleet_page",
    "for_machines",
    "forking",
    "limits",
    "local_pool",
    "manifest",
    "population",
    "read_manifest",
    "read_rows",
    "result",
    "running",
    "store",
    "table",
    "tied",
    "unit",
    "work",
]
