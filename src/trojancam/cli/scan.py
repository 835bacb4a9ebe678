"""`trojancam scan`: is there a backdoor in a network? It looks at the network and clean images, and never at the model card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import (
    ArchitectureOption,
    DataOption,
    OutputOption,
    PreprocessingOption,
    SeedOption,
    interruptible,
    list_broken,
    names_in,
    progress_bar,
    say,
)
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.data import Dataset
    from trojancam.network import Network

EXIT_CODES = {"nothing found": 0, "backdoor": 1, "inconclusive": 3}  # 2 is what the user can mend
STEPS = "steps"  # the folder in `--out` where finished steps are kept until the report is written


def scan(
    model: Annotated[Path, typer.Argument(help="A model file: safetensors, .pt, .pth, .pt2, .onnx, .keras or .h5.")],
    data: DataOption = None,
    architecture: ArchitectureOption = None,
    output: OutputOption = None,
    preprocessing: PreprocessingOption = None,
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
    from trojancam.preprocessing import TRIED, clear_winner, preprocessing_of, tried
    from trojancam.report.scan import write_scan
    from trojancam.report.scan_words import in_words
    from trojancam.report.scanned import scanned

    told = load(model, architecture, output=output)
    network = told.without_card()
    names = known_methods(names_in(methods, "method", DETECTORS))  # before images are read, which may take a while
    with progress_bar("images") as progress:
        size = network.input.size[0]
        dataset = load_dataset(data, size=size, class_names=names_of_classes(network), progress=progress)
    list_broken(dataset.skipped)
    check_classes(network, dataset)
    clean, labels = dataset.test.take(images, seed)
    if told.card is None:
        network = network.with_class_names(dataset.test.class_names)
    if preprocessing is not None:
        network = network.fed(preprocessing_of(network, preprocessing))
    elif told.card is None:  # nobody vouches for how it is fed, and one that is fed wrongly answers anything
        best = clear_winner(tried(network, *dataset.test.take(TRIED, seed)), len(network.class_names))
        network = network.fed(best.specification)
        say(f"fed as it is most often right: {best.name} ({best.accuracy:.1%} of test images)")
    settings = {
        "model": model.name,
        "data": dataset.source,
        "images": len(clean),
        "methods": list(names),
        "seed": seed,
        "command": f"trojancam scan {model}{f' --data {data}' if data else ''}"
        f"{f' --architecture {architecture}' if architecture else ''}{f' --output {output}' if output else ''}"
        f"{f' --preprocessing {preprocessing}' if preprocessing else ''} "
        f"--images {images} --methods {','.join(names)} --seed {seed} --out {out}",
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


def check_classes(network: "Network", dataset: "Dataset") -> None:
    """Labels must mean the same to the network and to the data."""
    known, given = len(network.class_names), len(dataset.test.class_names)
    if known != given:
        raise DataError(
            f"the network tells {known} classes apart, but the data has {given} ({dataset.source}); "
            "give images of the classes that it was made for"
        )


def names_of_classes(network: "Network") -> tuple[str, ...] | None:
    """The names of a network's classes, if its file tells them."""
    return None if network.class_names[0] == "class 0" else network.class_names
