"""How long work reports where it stands: it calls a function, and whoever called it decides what to show."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called with the steps done, the steps in all, and a few words on what was just done."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """Say that `done` of `total` steps are done."""


def silent(done: int, total: int, note: str = "", /) -> None:
    """Show nothing: the default of every library function."""


def stages(progress: Progress, shares: Sequence[int]) -> list[Progress]:
    """A progress function for each stage of some work, whose shares of the whole are told in one unit.

    Each stage counts in units of its own; the whole never goes back.

    >>> first, second = stages(lambda done, total, note="": print(done, total, note), [30, 70])
    >>> first(1, 2, "half of the first"); second(7, 7, "all")
    15 100 half of the first
    100 100 all
    """

    def stage(before: int, share: int) -> Progress:
        return lambda done, total, note="": progress(before + done * share // max(1, total), sum(shares), note)

    return [stage(sum(shares[:place]), share) for place, share in enumerate(shares)]


def counting(progress: Progress, total: int, note: str, before: int = 0) -> Callable[[int], None]:
    """A function that is told how many of `total` steps were done since it was last called; `before` were done at first.

    >>> advance = counting(lambda done, total, note="": print(done, total, note), 9, "images", before=2)
    >>> advance(3); advance(4)
    5 9 images
    9 9 images
    """
    done = before

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total, note)

    return advance
