"""`trojancam methods`: what there is to explain and to scan with, and who added it."""

from trojancam.cli.console import console


def methods() -> None:
    """List the attribution methods and the scan methods by name, also those that other packages add."""
    from rich.table import Column, Table

    from trojancam.attribution import METHODS
    from trojancam.detection import DETECTORS

    for title, registry in (("Attribution methods", METHODS), ("Scan methods", DETECTORS)):
        table = Table(Column("name", no_wrap=True), "title", "source", Column("from", no_wrap=True), title=title)
        for name, method in registry.items():
            table.add_row(name, method.title, method.source, registry.origin(name))
        console.print(table)
