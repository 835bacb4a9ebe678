"""`trojancam compare`: attribution methods against one another, by faithfulness and localisation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trojancam.cli.console import console, interruptible, names_in, progress_bar, say
from trojancam.cli.explain import recorded_backdoor
from trojancam.cli.options import (
    DataOption,
    HeadsOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    command_line,
    fitted,
    images_for,
    input_settings,
    labelled_by,
    opened,
    takes_options,
)

if TYPE_CHECKING:
    from trojancam.report.page import Table
    from trojancam.tasks.compare import Compared, Summary

DEFAULT_METHODS = "grad-cam,grad-cam++,hirescam,layercam,xgrad-cam,eigen-cam,saliency,random,centre"


@takes_options
def compare(
    context: Parsed,
    model: ModelArgument,
    told: ModelOptions,
    data: DataOption = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Names with commas between, of those that 'trojancam methods' lists, or 'all' that work with the network "
            "(Score-CAM, Ablation-CAM and LIME take longer)."
        ),
    ] = DEFAULT_METHODS,
    layers: Annotated[str | None, typer.Option(help="Names with commas between; all if left out.")] = None,
    n: Annotated[int, typer.Option("--n", min=2, help="How many test images.")] = 256,
    stamp: Annotated[
        bool,
        typer.Option(help="On images stamped with the trigger recorded in the model file, explaining its class."),
    ] = False,
    randomise: Annotated[
        bool,
        typer.Option(
            help="Also test, on 16 images, whether the maps of the last layer depend on the network's weights."
        ),
    ] = False,
    heads: HeadsOption = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-compare"),
) -> None:
    """Compare attribution methods by ROAD, insertion and deletion and, with --stamp, by how well they find the trigger.

    Says which method wins, with bootstrap intervals over the images of every mean and of every paired difference to the
    best (on the page), and says so when none does.
    """
    from trojancam.files import writable_folder
    from trojancam.report.compare import write_comparison
    from trojancam.tasks.compare import compare as run
    from trojancam.tasks.compare import drawn_images

    network = opened(model, told, labelled_by(data, seed), heads)
    chosen = methods if methods == "all" else names_in(methods, "method")
    named = None if layers is None else names_in(layers, "layer")
    planted = recorded_backdoor(model, network.card) if stamp else None
    writable_folder(out)
    dataset = images_for(network, data)
    network = fitted(network, dataset, seed)
    advice = f"finished batches are kept in {out}; run the same command again to resume"
    with interruptible(lambda: advice), progress_bar("compare") as progress:
        compared = run(
            network,
            drawn_images(dataset.test, n, planted, seed),
            chosen,
            layers=named,
            target=planted.target_class if planted else None,
            trigger=planted.trigger if planted else None,
            randomise=randomise,
            seed=seed,
            folder=out,
            progress=progress,
        )
    settings = _settings(
        compared, model, dataset.source, "stamped with the recorded trigger" if planted else "as they are"
    )
    page = write_comparison(compared, out, settings | {"seed": seed, "command": command_line(context)})
    _show(compared.summary, network.name)
    say(f"the page is at {page.resolve()}, its numbers beside it in results.json")


def _settings(compared: "Compared", model: Path, source: str, images_are: str) -> dict[str, Any]:
    """What the page says of how the comparison was made."""
    from trojancam.report.provenance import file_facts

    comparison, network = compared.summary.comparison, compared.network
    return {
        **file_facts(model),
        "network": network.name,
        "fingerprint": network.fingerprint,
        "data": source,
        **input_settings(network),
        "images": f"{comparison.images} test images, {images_are}",
        "methods": list(compared.methods),
        "layers": list(comparison.layers),
    }


def _show(summary: "Summary", name: str) -> None:
    """Print the tables over the layers, and a sentence for each metric."""
    from trojancam.report.compare import overall_tables

    for part in overall_tables(summary):
        _print(part, f"{part.caption}: {name}, {summary.comparison.images} images, means over the layers")
    for sentence in summary.in_words():
        say(sentence)


def _print(table: "Table", title: str) -> None:
    from rich.table import Table as Printed

    printed = Printed(*table.headings, title=title)
    for row in table.rows:
        printed.add_row(*map(str, row))
    console.print(printed)
