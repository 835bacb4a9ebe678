"""`trojancam fleet`: many models, each in a process of its own, with one table at the end."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.answers import Answering
from trojancam.cli.console import interruptible, names_in, progress_bar, say
from trojancam.cli.options import DataOption, SeedOption, any_there, takes_options


@takes_options
def fleet(
    models: Annotated[
        str,
        typer.Argument(
            callback=any_there("a manifest (.csv, .jsonl), a folder, a pattern, or a model file"),
            help="A manifest (.csv with a column path, or .jsonl), a folder, or a pattern in quotes, such as 'nets/*.pt'.",
        ),
    ],
    answering: Answering,
    task: Annotated[str, typer.Option(help="What is done with each model: scan, inspect, repair or compare.")] = "scan",
    data: DataOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many models at a time; each has one thread.")] = 1,
    deadline: Annotated[str, typer.Option(help="How long one model may take: 90s, 15m, 2h.")] = "15m",
    memory: Annotated[
        str, typer.Option(help="How much memory one model may take beside the libraries: 512M, 4G (on Linux).")
    ] = "4G",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Only a part of the rows, such as 2/5. The same command without it gathers the parts."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="local|slurm|ADDRESS",
            help="Work on a cluster of dask: tcp://127.0.0.1:8786, tls://HOST:8786, or one that is started, with --jobs workers.",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=2, help="How many clean test images; of a repair, of each class.", show_default=False),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Methods of the task, with commas between; its usual ones if left out.")
    ] = None,
    families: Annotated[str | None, typer.Option(help="As for 'trojancam scan'.")] = None,
    victims: Annotated[str | None, typer.Option(help="As for 'trojancam scan'.")] = None,
    budget: Annotated[str | None, typer.Option(help="As for 'trojancam scan'.")] = None,
    reference: Annotated[Path | None, typer.Option(help="As for 'trojancam scan'.")] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.NAME=VALUE", help="A method's setting, such as stimulation.rounds=80."),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write the table as Parquet, too (needs pyarrow).")
    ] = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-fleet"),
) -> None:
    """Scan, inspect, repair or compare many models, and write one table with a row for each.

    Nothing that a model does ends the run. A model that is damaged, hostile, takes too long or too much memory is a row that
    is not judged. Exit code 1: evidence of a backdoor in any model; 3: else, if any is inconclusive or not judged; 0: else; 2:
    an error, such as in the manifest. If interrupted, run the same command again to resume.
    """
    from trojancam.fleets import running
    from trojancam.fleets.for_machines import of_row

    advice = f"what is done is kept in {out}; run the same command again to resume"
    with interruptible(lambda: advice), progress_bar("fleet") as progress:
        found = running.fleet(
            models,
            task,
            data=data,
            jobs=jobs,
            deadline=deadline,
            memory=memory,
            shard=shard,
            scheduler=scheduler,
            images=images,
            methods=() if methods is None else names_in(methods, "method"),
            families=() if families is None else names_in(families, "family"),
            victims=() if victims is None else names_in(victims, "kind of victims"),
            budget=budget,
            reference=reference,
            settings=changed or (),
            seed=seed,
            parquet=parquet,
            out=out,
            progress=progress,
        )
    for line in found.in_words():
        say(line)
    say(f"the page is at {found.page}, the table beside it as .sqlite, .csv and .jsonl")
    for row in found.rows:
        answering.tell(of_row(row))
    raise typer.Exit(found.exit_code)
