"""`trojancam calibrate`: clean networks are scanned, so that `trojancam scan` can hold a suspect's scores against theirs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import interruptible, names_in, progress_bar, say, warn
from trojancam.cli.options import (
    DataOption,
    ModelOptions,
    SeedOption,
    fitted,
    images_for,
    labelled_by,
    opened,
    takes_options,
    there,
)

if TYPE_CHECKING:
    from trojancam.tasks.calibrate import VouchedNetwork

STEPS = ".steps"  # after the name of the file: the folder of finished steps


@takes_options
def calibrate(
    models: Annotated[
        list[Path], typer.Argument(help="Model files of networks that you know to be clean.", callback=there)
    ],
    told: ModelOptions,
    data: DataOption = None,
    images: Annotated[int, typer.Option(min=4, help="How many clean test images; as many as you scan with.")] = 100,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Scan methods, with commas between.  [default: those of 'trojancam scan']", show_default=False
        ),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.NAME=VALUE", help="A method's setting, as for 'trojancam scan'."),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The JSON file to write to; networks that it holds already stay.")] = Path(
        "reference.json"
    ),
) -> None:
    """Scan networks that are known to be clean, for p-values and rates of false alarms of 'trojancam scan --reference'.

    Take networks like those that you will scan: of the same data, architectures and accuracy. With n of them, no p-value of a
    method is below 1 / (n + 1). If interrupted, run the same command again to resume.
    """
    from trojancam.detection import DETECTORS
    from trojancam.detection.references import Reference, read_reference
    from trojancam.detection.scanning import known_methods, known_settings
    from trojancam.detection.settings import parsed
    from trojancam.files import writable_folder
    from trojancam.kept import Kept
    from trojancam.locks import only_run_in
    from trojancam.tasks.calibrate import calibrated

    names = known_methods(None if methods is None else names_in(methods, "method", DETECTORS))
    settings = parsed(changed or [])
    known_settings(names, settings)
    begun = read_reference(out) if out.exists() else Reference()
    for model in models:
        opened(model, told, labelled_by(data, seed))  # what cannot be opened is said before hours of work
    steps = out.with_name(out.name + STEPS)
    writable_folder(steps)
    advice = f"networks that are finished are in {out}; run the same command again to resume"
    with interruptible(lambda: advice), only_run_in(steps), progress_bar("calibrate") as progress:
        found, left_out = calibrated(
            _clean(models, told, data, images, seed),
            names,
            begun=begun,
            settings=settings,
            seed=seed,
            journal=steps / "scan",
            kept=lambda reference: reference.write(out),
            progress=progress,
        )
        found.write(out)
    Kept(steps / "scan").clear()
    for sentence in left_out:
        warn(sentence)
    say(
        f"{out.resolve()} holds {len(found.networks)} clean networks; use it with: trojancam scan MODEL --reference {out}"
    )


def _clean(
    models: list[Path], told: ModelOptions, data: Path | None, images: int, seed: int
) -> Iterator["VouchedNetwork"]:
    """The networks, opened one at a time."""
    from trojancam.tasks.calibrate import VouchedNetwork

    for number, model in enumerate(models, start=1):
        network = opened(model, told, labelled_by(data, seed))
        dataset = images_for(network, data)
        say(f"{number} of {len(models)}: {model}")
        clean, labels = dataset.test.take(images, seed, spread=True)
        yield VouchedNetwork(model.name, fitted(network, dataset, seed), clean, labels, dataset.source)
