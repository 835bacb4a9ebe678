"""`trojancam reproduce`: the whole study, its figures, tables, claims and questions, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, names_in, progress_bar, say
from trojancam.cli.options import DataOption


def reproduce(
    data: DataOption = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each network, from as many seeds; 3, or 1 if quick.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write everything to.")] = Path("trojancam-study"),
    only: Annotated[str | None, typer.Option(help="Only these, such as fig12,table2,claim-a.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train and measure less: minutes, not hours.")] = False,
    study: Annotated[str | None, typer.Option(help="Which, where other packages bring studies of their own.")] = None,
) -> None:
    """Rebuild the study of 2023: every figure, both tables, its claims as numbers, and its eight questions.

    Trains the networks that are missing. If interrupted, run the same command again to resume.
    """
    from trojancam.tasks.reproduce import study_named

    chosen = study_named(study)
    pieces = None if only is None else chosen.known(names_in(only, "figure, table or claim", chosen.pieces()))
    with progress_bar("images") as progress:
        dataset = chosen.images(data, quick=quick, progress=progress)
    list_broken(dataset.skipped)
    advice = "run the same command again to resume"
    with interruptible(lambda: advice), progress_bar("study") as progress:
        page = chosen.reproduce(dataset, out, seeds=seeds, quick=quick, only=pieces, progress=progress)
    say(f"the page is at {page.resolve()}, the figures, tables and numbers beside it")
