"""`trojancam cleanse`: which files of a training set are poisoned."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import list_broken, names_in, progress_bar, say
from trojancam.cli.options import (
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    any_there,
    data_there,
    images_for,
    labelled_by,
    opened,
    takes_options,
    warn_uncut,
    warn_unless_said,
)

if TYPE_CHECKING:
    from trojancam.tasks.cleanse import CleanseResult

NOTHING, SUSPICIOUS = 0, 1


@takes_options
def cleanse(
    context: Parsed,  # noqa: ARG001 - all commands that open a model have it
    model: ModelArgument,
    folders: Annotated[
        Path,
        typer.Argument(
            callback=any_there("a folder of training images with a folder for each class"),
            help="The training images: a folder with a folder for each class.",
        ),
    ],
    told: ModelOptions,
    methods: Annotated[
        str,
        typer.Option(
            help="Cleansing methods ('trojancam methods' lists them), with commas between: the first decides."
        ),
    ] = "activation-clustering",
    share: Annotated[float, typer.Option(help="Which share of the images may be poisoned.")] = 0.05,
    data: Annotated[
        Path | None,
        typer.Option(
            callback=data_there, help="Clean images from elsewhere, for methods that compare with some: as for 'scan'."
        ),
    ] = None,
    clean: Annotated[int, typer.Option(min=2, help="How many of these.")] = 1000,
    seed: SeedOption = 0,
    list_: Annotated[
        Path, typer.Option("--list", help="The file to write: a line of JSON for each suspicious image.")
    ] = Path("suspicious.jsonl"),
    out: Annotated[Path | None, typer.Option(help="A new folder for a copy without the suspicious images.")] = None,
) -> None:
    """Find poisoned images in class folders, by a network that was trained on them.

    Exit code 0: nothing suspicious; 1: at least one image is suspicious; 2: an error.
    """
    from trojancam.data.folders import folder
    from trojancam.defences.cleansing import CLEANSERS
    from trojancam.errors import DataError
    from trojancam.files import written_whole
    from trojancam.network.given import names as known_names
    from trojancam.tasks.cleanse import cleanse as run
    from trojancam.tasks.cleanse import copy_without

    names = known_names("cleansing method", names_in(methods, "cleansing method", CLEANSERS), CLEANSERS)
    network = opened(model, told, None if data is None else labelled_by(data, seed))
    if out is not None and out.exists():
        raise DataError(f"{out} is there already, and nothing is mixed with a cleaned copy; name a new folder")
    warn_unless_said(network, model)
    warn_uncut(network)
    known = None if data is None else images_for(network, data).test.take(clean, seed)[0]
    with progress_bar("cleanse") as progress:
        images = folder(
            folders,
            size=network.input.size,
            share=network.input.crop,
            class_names=network.class_names if network.named else None,
            progress=progress,
        )
        result = run(network, images, names, share=share, clean=known, seed=seed, progress=progress)
    with written_whole(list_) as partial:
        partial.write_text("".join(f"{line}\n" for line in _lines(result)), encoding="utf-8")
    for line in repr(result).splitlines():
        say(line.strip())
    say(f"the suspicious images are listed in {list_}")
    if out is not None:
        say(f"{copy_without(folders, result, out)} images copied to {out}")
    list_broken(images.skipped)
    raise typer.Exit(SUSPICIOUS if bool(result.suspicious.any()) else NOTHING)


def _lines(result: "CleanseResult") -> Iterator[str]:
    """Each suspicious image as a line of JSON, the most suspicious first."""
    first = next(iter(result.methods.values()))
    found = [number for number, left in enumerate(first.suspicious.tolist()) if left]
    for number in sorted(found, key=lambda number: -float(first.scores[number])):
        scores = {name: float(each.scores[number]) for name, each in result.methods.items()}
        also = [name for name, each in result.methods.items() if bool(each.suspicious[number])]
        label = result.images.class_names[int(result.images.labels[number])]
        yield json.dumps({"file": result.names[number], "label": label, "scores": scores, "suspicious_to": also})
