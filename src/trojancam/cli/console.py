"""What all commands share: what they print, progress with time left, common options."""

import errno
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from trojancam.errors import DataError, Remedy, TrojanCamWarning
from trojancam.faults import INTERRUPTED
from trojancam.progress import Pace, Progress
from trojancam.text import printable


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end as it does for other errors; rich would exit with code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


console = _Console(highlight=False)
errors = _Console(stderr=True, highlight=False)

OPTIONS: Mapping[Remedy, str] = {  # what can be done on the command line
    Remedy.ARCHITECTURE: (
        "say which with --architecture: one of this library's ({detail}), module:callable or file.py:callable of your "
        "own code, timm:NAME or torchvision:NAME"
    ),
    Remedy.NO_ARCHITECTURE: "leave out --architecture",
    Remedy.NO_KEY: "leave out --key",
    Remedy.OUTPUT: "say which with --output",
    Remedy.PREPROCESSING: "say how it is fed with --preprocessing",
    Remedy.SIZE: "say it with --size HEIGHTxWIDTH",
    Remedy.NO_SIZE: "leave out --size",
    Remedy.LABELLED_IMAGES: "give labelled images to try on with --data",
    Remedy.MORE_IMAGES: "give more images with --data",
    Remedy.ITS_CLASSES: "give images of its classes and in its order with --data",
    Remedy.SAME_CLASSES: "give images of the classes that it was made for with --data",
    Remedy.MODEL_FILE: "check the path, or make one with 'trojancam train'",
    Remedy.INSTALL: "install it: pip install {detail}",
    Remedy.IMPORTABLE: (
        "give the path of the Python file, as folder/file.py:callable, or the name of a module that can be imported from here, "
        "as module:callable"
    ),
    Remedy.RESUME: "continue it with --resume, or delete it to start anew",
    Remedy.PORT: "choose another with --port, or 0 for any that is free",
    Remedy.STUDY: "say which to reproduce with --study",
    Remedy.FORCE: "do it all the same with --force",
    Remedy.SCAN: "give its scan.json with --scan",
    Remedy.WHOLE: "take whole images with --crop whole, or give the folder of GTSRB",
}


@contextmanager
def interruptible(advice: Callable[[], str]) -> Iterator[None]:
    """On ctrl-C, say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        complain("interrupted:", "bold red", advice())
        raise typer.Exit(INTERRUPTED) from None


def names_in(text: str, kind: str, known: Iterable[str] = ()) -> tuple[str, ...]:
    """The names in a list with commas between; `known` ones are told where there is none.

    Raises:
        DataError: if there is no name.

    >>> names_in("grad-cam, centre", "method")
    ('grad-cam', 'centre')
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        listed = ", ".join(known)
        raise DataError(
            f"there is no {kind} in {text!r}; give names with commas between{f', of {listed}' if listed else ''}"
        )
    return names


def say(words: str) -> None:
    """Print a line as it is: names of files and classes are no markup."""
    console.print(Text(printable(words)), soft_wrap=True)


def warn(words: str) -> None:
    """Say what the user should know before trusting the result, beside the output."""
    complain("warning:", "yellow", words)


def list_broken(broken: tuple[str, ...]) -> None:
    """Say which files were left out, and why."""
    for line in broken:
        complain("left out:", "yellow", line)


@contextmanager
def progress_bar(task: str) -> Iterator[Progress]:
    """A progress function that draws a bar with the time left; without a terminal, a line for each new note."""
    if not console.is_terminal:
        yield _Lines(task)
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    class Noted(Bar):
        """The note stands below the bar, where there is room for it."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            for shown in self.tasks:
                if shown.fields["note"]:
                    yield Text(printable(shown.fields["note"]), style="dim")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(None), TaskProgressColumn())
    times = (TimeElapsedColumn(), TextColumn("gone"), TextColumn("{task.fields[left]}"))
    pace = Pace()
    with Noted(*columns, *times, console=console, expand=True) as bar:
        identifier = bar.add_task(task, total=None, note="", left="")

        def update(done: int, total: int, note: str = "", /) -> None:
            seconds = pace.seconds_left(done, total)
            left = "" if seconds is None else f"{timedelta(seconds=round(seconds))} left"
            bar.update(identifier, completed=done, total=total, note=note, left=left)

        yield update


class _Lines:
    """Progress for logs: a line when the note is new, at most one every few seconds, with the time left."""

    def __init__(self, task: str, seconds: float = 2.0) -> None:
        self.task, self.seconds = task, seconds
        self.last, self.note = -seconds, ""
        self.pace = Pace()

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        now, left = time.monotonic(), self.pace.seconds_left(done, total)
        if done < total and (note == self.note or now - self.last < self.seconds):
            return
        self.last, self.note = now, note
        time_left = "" if left is None else f", {left:.0f} s left"
        say(f"{self.task}: {done}/{total}{time_left}{', ' if note else ''}{note}")
        sys.stdout.flush()


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Print the library's warnings as sentences; those of other libraries as Python prints them."""
    with warnings.catch_warnings():
        printed = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, TrojanCamWarning):
                warn(str(message))
            else:
                printed(message, category, *rest)

        warnings.simplefilter("always", TrojanCamWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def complain(kind: str, style: str, words: str = "") -> None:
    """Print a sentence beside the output, after a word that says of what kind it is."""
    errors.print(Text.assemble((kind, style), " " if words else "", printable(words)), soft_wrap=True)
