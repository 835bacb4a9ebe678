"""`trojancam demo`: a trojaned network and its heat maps on one page."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, progress_bar, say
from trojancam.cli.options import DataOption, SeedOption


def demo(
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="The folder to write the page to.")] = Path("trojancam-demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training for each network.")] = 12,
    seed: SeedOption = 0,
) -> None:
    """Train a benign and a trojaned network; show where the trojaned one looks, scan both, and repair it: all on one page.

    Networks and scans are kept in the cache, so that a second run takes less than a minute. If interrupted, run the same
    command again to resume.
    """
    from trojancam.data import load_dataset
    from trojancam.files import writable_folder
    from trojancam.report.demo import write_demonstration
    from trojancam.tasks.demo import demonstrate

    writable_folder(out)  # better known now than after minutes of preparing data
    with progress_bar("images") as progress:
        dataset = load_dataset(data, progress=progress)
    list_broken(dataset.skipped)
    advice = "run the same command again to resume after the last finished epoch"
    with interruptible(lambda: advice), progress_bar("demo") as progress:
        page = write_demonstration(demonstrate(dataset, epochs, seed, progress), out)
    say("the networks and the sign, with and without the trigger, lie beside the page")
    say(f"next: trojancam scan {shlex.quote(str(out / 'trojaned.safetensors'))}")
    say(f"the page is at {page.resolve()}, its numbers beside it in results.json")
