"""`trojancam scan`: is there a backdoor in a network? It looks at the network and clean images, and never at the model card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import DataOption, SeedOption, interruptible, list_broken, names_in, progress_bar, say
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.data import Dataset
    from trojancam.network import Network

EXIT_CODES = {"nothing found": 0, "backdoor": 1, "inconclusive": 3}  # 2 is what the user can mend
STEPS = "steps"  # the folder in `--out` where finished steps are kept until the report is written


def scan(
    model: Annotated[Path, typer.Argument(help="A model file made by 'trojancam train'.")],
    data: DataOption = None,
    images: Annotated[int, typer.Option(min=4, help="How many clean test images; a few dozen or more.")] = 100,
    methods: Annotated[
        str,
        typer.Option(
            help="stimulation, abs and neural-cleanse, with commas between: the first decides, the others are second opinions."
        ),
    ] = "stimulation",
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-scan"),
    seed: SeedOption = 0,
) -> None:
    """Look for a backdoor: which class, where, which feature maps, what triggers it, and how sure that is.

    Exit code 0: nothing found; 1: evidence of a backdoor; 2: an error; 3: inconclusive. A scan that was interrupted, or
    killed, goes on when the same command is given again. What the model file says of its training is not looked at.
    """
    from trojancam.data import load_dataset
    from trojancam.detection import DETECTORS
    from trojancam.detection import scan as run
    from trojancam.detection.journal import Journal
    from trojancam.detection.scanning import known_methods
    from trojancam.network import load
    from trojancam.report.scan import write_scan
    from trojancam.report.scan_words import in_words
    from trojancam.report.scanned import scanned

    network = load(model).without_card()
    names = known_methods(names_in(methods, "method", DETECTORS))  # before images are read, which may take a while
    with progress_bar("images") as progress:
        size = network.input.size[0]
        dataset = load_dataset(data, size=size, class_names=network.class_names, progress=progress)
    list_broken(dataset.skipped)
    _check_classes(network, dataset)
    clean, labels = dataset.test.take(images, seed)
    settings = {
        "model": model.name,
        "data": dataset.source,
        "images": len(clean),
        "methods": list(names),
        "seed": seed,
        "command": f"trojancam scan {model}{f' --data {data}' if data else ''} --images {images} --methods {','.join(names)} "
        f"--seed {seed} --out {out}",
    }
    advice = f"finished steps are kept in {out}; the same command again goes on from there"
    with interruptible(lambda: advice):
        with progress_bar("scan") as progress:
            report = run(network, clean, labels, names, seed=seed, journal=out / STEPS, progress=progress)
        found = scanned(network, clean, labels, report, settings)
        page = write_scan(found, out)
    Journal(out / STEPS).clear()
    for line in in_words(found):
        say(line)
    say(f"the page is at {page.resolve()}, its numbers beside it in scan.json")
    raise typer.Exit(EXIT_CODES[report.verdict])


def _check_classes(network: "Network", dataset: "Dataset") -> None:
    """Labels must mean the same to the network and to the data."""
    known, given = len(network.class_names), len(dataset.test.class_names)
    if known != given:
        raise DataError(
            f"the network tells {known} classes apart, but the data has {given} ({dataset.source}); "
            "give images of the classes that it was made for"
        )
