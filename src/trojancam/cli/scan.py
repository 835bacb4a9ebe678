"""`trojancam scan`: is there a backdoor in a network? It looks at the network and clean images, and never at the model card."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import interruptible, names_in, progress_bar, say
from trojancam.cli.options import (
    DataOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    command_line,
    fitted,
    images_for,
    input_settings,
    opened,
    takes_options,
)

EXIT_CODES = {"nothing found": 0, "backdoor": 1, "inconclusive": 3}  # 2 is what the user can mend
STEPS = "steps"  # the folder in `--out` where finished steps are kept until the report is written


@takes_options
def scan(
    context: Parsed,
    model: ModelArgument,
    told: ModelOptions,
    data: DataOption = None,
    images: Annotated[
        int, typer.Option(min=4, help="How many clean test images, of all classes alike; a few dozen or more.")
    ] = 100,
    methods: Annotated[
        str,
        typer.Option(
            help="stimulation (patches), additive, warp and tone (all over the image), all-to-all, abs, neural-cleanse or an "
            "added one ('trojancam methods' lists all), with commas between: the first decides, the others are second opinions."
        ),
    ] = "stimulation",
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.NAME=VALUE", help="A method's setting, such as stimulation.rounds=80."),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-scan"),
) -> None:
    """Look for a backdoor: which class, where, which feature maps, what triggers it, and how sure that is.

    Exit code 0: nothing found; 1: evidence of a backdoor; 2: an error; 3: inconclusive. A scan that was interrupted, or
    killed, goes on when the same command is given again. What the model file says of its training is not looked at.
    """
    from trojancam.detection import DETECTORS
    from trojancam.detection.scanning import known_methods, known_settings
    from trojancam.detection.settings import parsed
    from trojancam.files import writable_folder
    from trojancam.kept import Kept
    from trojancam.report.provenance import file_facts
    from trojancam.report.scan import write_scan
    from trojancam.report.scan_words import in_words
    from trojancam.tasks.scan import scan as run

    names = known_methods(names_in(methods, "method", DETECTORS))
    told_settings = parsed(changed or [])
    known_settings(names, told_settings)
    network = opened(model, told)
    dataset = images_for(network, data)
    clean, labels = dataset.test.take(images, seed, spread=True)
    network = fitted(network, dataset, seed)
    settings = {
        **file_facts(model),
        "data": dataset.source,
        "images": len(clean),
        **input_settings(network),
        "methods": list(names),
        "seed": seed,
        "command": command_line(context),
    }
    writable_folder(out)
    advice = f"finished steps are kept in {out}; the same command again goes on from there"
    with interruptible(lambda: advice):
        with progress_bar("scan") as progress:
            result = run(
                network, clean, labels, names, settings=told_settings, seed=seed, journal=out / STEPS, progress=progress
            )
        page = write_scan(result, out, settings)
    Kept(out / STEPS).clear()
    for line in in_words(result):
        say(line)
    say(f"the page is at {page.resolve()}, its numbers beside it in scan.json")
    raise typer.Exit(EXIT_CODES[result.report.verdict])
