"""What all commands share: errors as one sentence with exit code 2, progress with time left, common options."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from trojancam.errors import TrojanCamError
from trojancam.progress import Progress

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

INTERRUPTED = 130  # what a shell gives for ctrl-C

DataOption = Annotated[
    Path | None,
    typer.Option(help="GTSRB (official, Kaggle or prepared .npz) or class folders; rendered signs if left out."),
]


class Commands(TyperGroup):
    """A group whose commands end in one sentence and exit code 2 where the user can mend what went wrong."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except TrojanCamError as error:
            errors.print(f"[bold red]error:[/] {_escaped(str(error))}", soft_wrap=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            errors.print("interrupted; the same command again goes on from what is finished", soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar(task: str) -> Iterator[Progress]:
    """A progress function that draws a bar with the time left; without a terminal, a line for each new note."""
    if not console.is_terminal:
        yield _Lines(task)
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console) as bar:
        identifier = bar.add_task(task, total=None, note="")

        def update(done: int, total: int, note: str = "", /) -> None:
            bar.update(identifier, completed=done, total=total, note=note)

        yield update


class _Lines:
    """Progress for logs: a line when the note is new, at most one every few seconds, with the time left."""

    def __init__(self, task: str, seconds: float = 2.0) -> None:
        self.task, self.seconds = task, seconds
        self.started = time.monotonic()
        self.last, self.note = -seconds, ""
        self.first: int | None = None

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        now = time.monotonic() - self.started
        self.first = done if self.first is None else self.first
        if done < total and (note == self.note or now - self.last < self.seconds):
            return
        self.last, self.note = now, note
        fresh = done - self.first
        left = f", {now / fresh * (total - done):.0f} s left" if fresh and done < total else ""
        console.print(f"{self.task}: {done}/{total}{left}{', ' if note else ''}{_escaped(note)}", soft_wrap=True)
        sys.stdout.flush()


def list_broken(broken: tuple[str, ...]) -> None:
    """Say which files were left out, and why."""
    for line in broken:
        errors.print(f"[yellow]left out:[/] {_escaped(line)}", soft_wrap=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
