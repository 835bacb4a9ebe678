"""`trojancam methods`: what there is to explain, to scan, to sift and to attack with, and who added it."""

from trojancam.cli.console import console


def methods() -> None:
    """List all methods, defences, repairs and attacks by name, also those that other packages add."""
    from rich.table import Column, Table

    from trojancam.attacks.catalogue import ATTACKS
    from trojancam.attribution import METHODS
    from trojancam.defences import CLEANSERS, DEFENCES
    from trojancam.detection import DETECTORS
    from trojancam.removal import REPAIRS

    of_images = (("Defences", DEFENCES), ("Cleansing methods", CLEANSERS), ("Repairs", REPAIRS))
    for title, registry in (("Attribution methods", METHODS), ("Scan methods", DETECTORS), *of_images):
        sought = ["families", "victims"] if registry is DETECTORS else []
        table = Table(
            Column("name", no_wrap=True), "title", "source", *sought, Column("from", no_wrap=True), title=title
        )
        for name, method in registry.items():
            families = [", ".join(getattr(method, each)) or "not told" for each in sought]
            table.add_row(name, method.title, method.source, *families, registry.origin(name))
        console.print(table)
    table = Table(
        Column("name", no_wrap=True),
        "what it plants",
        "source",
        "settings",
        Column("from", no_wrap=True),
        title="Attacks",
    )
    for name, attack in ATTACKS.items():
        table.add_row(name, attack.summary, attack.source, ", ".join(attack.model_fields), ATTACKS.origin(name))
    console.print(table)
