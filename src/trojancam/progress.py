"""How long work reports where it stands: it calls a function, and whoever called it decides what to show."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called with the steps done, the steps in all, and a few words on what was just done."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """Say that `done` of `total` steps are done."""


def silent(done: int, total: int, note: str = "", /) -> None:
    """Show nothing: the default of every library function."""
