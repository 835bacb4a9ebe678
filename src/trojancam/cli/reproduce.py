"""`trojancam reproduce`: the whole study, its figures, tables, claims and questions, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, names_in, progress_bar, say
from trojancam.cli.options import DataOption

RENDERED = (8600, 1290)  # training and test signs of `--quick`, where no data is given


def reproduce(
    data: DataOption = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each network, from as many seeds; 3, or 1 if quick.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write everything to.")] = Path("trojancam-study"),
    only: Annotated[str | None, typer.Option(help="Only these, such as fig12,table2,claim-a.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train and measure less: minutes, not hours.")] = False,
) -> None:
    """Rebuild the study of 2023: every figure, both tables, its claims as numbers, and its eight questions.

    Trains what is missing. Everything is kept as it is done: the same command goes on where it was stopped.
    """
    from trojancam.data import load_dataset
    from trojancam.data.rendered import rendered_signs
    from trojancam.files import writable_folder
    from trojancam_study.pieces import PIECES
    from trojancam_study.reproduction import known_pieces, reproduce
    from trojancam_study.study import QUICK, Scale, Study

    chosen = None if only is None else known_pieces(names_in(only, "figure, table or claim", PIECES))
    with progress_bar("images") as progress:
        dataset = (
            rendered_signs(*RENDERED, progress=progress)
            if quick and data is None
            else load_dataset(data, progress=progress)
        )
    list_broken(dataset.skipped)
    study = Study(dataset, tuple(range(seeds or (1 if quick else 3))), QUICK if quick else Scale())
    writable_folder(out)  # better known now than after hours of training
    advice = "the same command goes on where this one stopped"
    with interruptible(lambda: advice), progress_bar("study") as progress:
        page = reproduce(study, out, chosen, progress)
    say(f"the page is at {page.resolve()}, the figures, tables and numbers beside it")
