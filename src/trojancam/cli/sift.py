"""`trojancam sift`: which of some images bear a trigger."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.answers import Answering
from trojancam.cli.console import console, interruptible, list_broken, names_in, progress_bar, say
from trojancam.cli.options import (
    STDIN,
    DataOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    any_there,
    command_line,
    fitted,
    images_for,
    input_settings,
    labelled_by,
    opened,
    read_later,
    takes_options,
    warn_uncut,
)
from trojancam.errors import DataError
from trojancam.text import printable

if TYPE_CHECKING:
    from trojancam.report.documents.sift import Sift

SHOWN = 20  # suspicious images in the table
NOTHING, SUSPICIOUS, UNREAD = 0, 1, 2


@takes_options
def sift(
    context: Parsed,
    model: ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            callback=any_there("image files or folders that are there"),
            help="Image files, folders of them, patterns such as 'in/*.png'; '-' reads names, one a line.",
        ),
    ],
    told: ModelOptions,
    answering: Answering,
    data: DataOption = None,
    clean: Annotated[int, typer.Option(min=2, help="How many clean images of --data to learn from.")] = 1000,
    methods: Annotated[
        str,
        typer.Option(
            help="Defences ('trojancam methods' lists them), with commas between: the first decides, the others are second "
            "opinions."
        ),
    ] = "contributions",
    scan: Annotated[
        Path | None,
        typer.Option(
            callback=read_later("--scan"),
            help="The scan.json of this network: input-filter looks for the triggers that were recovered.",
        ),
    ] = None,
    false_alarms: Annotated[float, typer.Option(help="Which share of clean images may be called suspicious.")] = 0.01,
    json_: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a line of JSON for each image instead of a table; --format json is one object."
        ),
    ] = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-sift"),
) -> None:
    """Find images with a trigger, the place of the trigger, and the prediction without it.

    Exit code 0: nothing suspicious; 1: at least one image is suspicious; 2: an error, or images that could not be read and
    nothing suspicious among the others. The clean images are of --data, and should be of the same kind as the images.
    """
    from trojancam.defences import DEFENCES
    from trojancam.defences.sieve import known_methods
    from trojancam.files import prepared_folder
    from trojancam.report.documents.scan import read_scan
    from trojancam.report.machines.outcomes import of_sift
    from trojancam.report.provenance import file_facts
    from trojancam.report.sift import documented, json_lines, write_sift
    from trojancam.tasks.sift import sift as run

    names = known_methods(names_in(methods, "defence", DEFENCES))
    files = list(named_files(images))
    network = opened(model, told, labelled_by(data, seed))
    dataset = images_for(network, data)
    known, _ = dataset.test.take(clean, seed)
    network = fitted(network, dataset, seed)
    warn_uncut(network)
    found = None if scan is None else read_scan(scan, network.fingerprint)
    settings = {
        **file_facts(model),
        "data": dataset.source,
        **input_settings(network),
        "methods": list(names),
        "seed": seed,
        "command": command_line(context),
    }
    with interruptible(lambda: "nothing was written"), prepared_folder(out), progress_bar("sift") as progress:
        started = time.perf_counter()
        result = run(network, files, known, names, scan=found, false_alarms=false_alarms, seed=seed, progress=progress)
        document = documented(result, settings, time.perf_counter() - started)
        page = write_sift(result, document, out)
    if json_:
        for line in json_lines(document):
            typer.echo(line)
    else:
        _tell(document)
        say(f"the page is at {page.resolve()}, its numbers beside it in results.json and images.jsonl")
    list_broken(result.left_out)
    code = SUSPICIOUS if document.suspicious else UNREAD if result.left_out else NOTHING
    answering.tell(of_sift(document, model, code))
    raise typer.Exit(code)


def named_files(words: Iterable[str]) -> Iterable[Path]:
    """The files that are named: as they are, by a pattern, or, for `-`, on standard input.

    Raises:
        DataError: if a pattern fits no file, or standard input names none.
    """
    for word in words:
        if word == STDIN:
            lines = [line.rstrip("\n") for line in sys.stdin]
            if not any(lines):
                raise DataError("standard input names no image; give names of files, one a line")
            yield from (Path(line) for line in lines if line)
        elif any(mark in word for mark in "*?[") and not Path(word).exists():
            found = sorted(_matching(word))
            if not found:
                raise DataError(f"no file fits {word!r}; check the pattern")
            yield from found
        else:
            yield Path(word)


def _matching(pattern: str) -> list[Path]:
    from glob import glob

    return [Path(name) for name in glob(pattern, recursive=True)]  # noqa: PTH207 - a pattern may begin at the root


def _tell(document: "Sift") -> None:
    """The suspicious images as a table, and how many there are by each method."""
    from rich.table import Column, Table

    rows = [image for image in document.images if image.suspicious][:SHOWN]
    first = next(iter(document.methods))
    if rows:
        table = Table(Column("image", overflow="fold"), "read as", "score", "p", "cleaned", title="Suspicious images")
        for image in rows:
            found = image.methods[first]
            score = "not finite" if found.score is None else f"{found.score:.3g}"
            after = "" if image.cleaned is None else image.cleaned.predicted_name if image.cleaned.share else "the same"
            cells = (image.file, image.predicted_name, score, f"{found.p_value:.2g}", after)
            table.add_row(*(_plain(cell) for cell in cells))
        console.print(table)
    if document.suspicious > len(rows):
        say(f"and {document.suspicious - len(rows)} more")
    for name, method in document.methods.items():
        say(f"{name}: {method.suspicious} of {len(document.images)} images suspicious, above {method.threshold:.3g}")


def _plain(words: str) -> str:
    from rich.markup import escape

    return escape(printable(words))
