"""`trojancam scan`: is there a backdoor in a network? It looks at the network and clean images, and never at the model card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trojancam.cli.answers import AnsweringInJson
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
    labelled_by,
    opened,
    read_later,
    takes_options,
)
from trojancam.faults import SCAN_CODES as EXIT_CODES

if TYPE_CHECKING:
    from trojancam.data.image_set import Dataset
    from trojancam.network.network import Network
    from trojancam.opening.output_choice import LabelledImages
    from trojancam.tasks.scan import Scanned

STEPS = "steps"  # the folder in `--out` where finished steps are kept until the report is written


@takes_options
def scan(
    context: Parsed,
    model: ModelArgument,
    told: ModelOptions,
    answering: AnsweringInJson,
    data: DataOption = None,
    images: Annotated[
        int, typer.Option(min=4, help="How many clean test images, of all classes alike; a few dozen or more.")
    ] = 100,
    methods: Annotated[
        str | None,
        typer.Option(
            help="stimulation (patches), additive, stripes, low-frequency, warp and tone (all over the image), all-to-all, "
            "some-classes, or an added one ('trojancam methods' lists all), with commas between: they decide together. abs, "
            "neural-cleanse, mm-bd and freeeagle are second opinions: they decide nothing.  "
            "[default: stimulation,additive,stripes,warp,all-to-all]",
            show_default=False,
        ),
    ] = None,
    families: Annotated[
        str | None,
        typer.Option(
            help="Look only for these families of triggers, such as patch,warp ('trojancam methods' lists all)."
        ),
    ] = None,
    victims: Annotated[
        str | None,
        typer.Option(
            help="Look only for triggers with these victims: every-class, some-classes, all-to-all, with commas between."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Limit the time: seconds (60), 10m, 1h, or a share (50%). Searches that do not fit are left out, and listed."
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            callback=read_later("--reference"),
            help="Clean reference networks: a file that 'trojancam calibrate' wrote. Default: those of TrojanCAM.",
        ),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.NAME=VALUE", help="A method's setting, such as stimulation.rounds=80."),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-scan"),
) -> None:
    """Look for a backdoor: its class, its place, its feature maps, a recovered trigger, and the evidence.

    Exit code 0: nothing found in what was searched; 1: evidence of a backdoor; 2: an error; 3: inconclusive, or not judged
    because the network is not accurate enough. If interrupted, run the same command again to resume. The scan does not
    read what the model file says about its training.
    """
    from trojancam.files import writable_folder
    from trojancam.kept import Kept
    from trojancam.report.machines.outcomes import of_scan
    from trojancam.report.scan import documented, write_scan
    from trojancam.tasks.scan import scan as run

    asked = _asked(methods, families, victims, budget, reference, changed)
    network = opened(model, told, labelled_by(data, seed))
    dataset = images_for(network, data)
    clean = dataset.test.take(images, seed, spread=True)
    network = fitted(network, dataset, seed)
    settings = {
        **_given(model, dataset, clean, network),
        "methods": list(asked["methods"]),
        "seed": seed,
        "command": command_line(context),
    }
    writable_folder(out)
    _say_how_long(network, clean, asked)
    advice = f"finished steps are kept in {out}; run the same command again to resume"
    with interruptible(lambda: advice):
        with progress_bar("scan") as progress:
            result = run(network, *clean, **asked, seed=seed, journal=out / STEPS, progress=progress)
        page = write_scan(result, out, settings)
    Kept(out / STEPS).clear()
    _show(result, page)
    answering.tell(of_scan(documented(result, settings), model))
    raise typer.Exit(EXIT_CODES[result.report.verdict])


def _asked(
    methods: str | None,
    families: str | None,
    victims: str | None,
    budget: str | None,
    reference: Path | None,
    changed: list[str] | None,
) -> dict[str, Any]:
    """What is looked for, and how, as the task takes it; slips of the pen show before a network is opened."""
    from trojancam.attacks.families import FAMILIES
    from trojancam.detection import DETECTORS
    from trojancam.detection.budget import Budget
    from trojancam.detection.coverage import VICTIMS
    from trojancam.detection.references import read_reference
    from trojancam.detection.scanning import known_methods, known_settings
    from trojancam.detection.settings import parsed

    looked_for = {
        "families": () if families is None else names_in(families, "family", FAMILIES),
        "victims": () if victims is None else names_in(victims, "kind of victims", VICTIMS),
    }
    names = known_methods(None if methods is None else names_in(methods, "method", DETECTORS), **looked_for)
    settings = parsed(changed or [])
    known_settings(names, settings)
    return {
        **looked_for,
        "methods": names,
        "settings": settings,
        "reference": None if reference is None else read_reference(reference),
        "budget": None if budget is None else Budget.of(budget),
    }


def _given(model: Path, dataset: "Dataset", clean: "LabelledImages", network: "Network") -> dict[str, Any]:
    """What was scanned, and on which images."""
    from trojancam.report.provenance import file_facts, images_fact

    return {
        **file_facts(model),
        "data": dataset.source,
        "images": len(clean[0]),
        "images_sha256": images_fact(*clean),
        **input_settings(network),
    }


def _say_how_long(network: "Network", clean: "LabelledImages", asked: dict[str, Any]) -> None:
    from trojancam.detection.budget import about
    from trojancam.detection.scanning import expected_seconds

    expected = expected_seconds(network, *clean, **{name: each for name, each in asked.items() if name != "reference"})
    less = f"{max(1, round(expected / 3))}s"
    shorter = "" if asked["budget"] else f"; --budget {less} looks for less, and lists the searches that it left out"
    say(f"the scan takes {about(expected)} on this machine, or less if it resumes{shorter}")


def _show(result: "Scanned", page: Path) -> None:
    from trojancam.report.scan_words import in_words

    for line in in_words(result):
        say(line)
    say(f"the page is at {page.resolve()}, its numbers beside it in scan.json")
