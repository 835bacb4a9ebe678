"""How long work reports where it stands: it calls a function, and whoever called it decides what to show."""

import html
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from trojancam.errors import DataError

REFRESH = 0.2  # seconds between two pictures of a notebook's bar
KNOWN = 3  # seconds of work before what is told binds what comes: steps that were kept take no time
CREEP = 2  # seconds, at most, by which the time left grows in a second: one slow step says little of those to come


@runtime_checkable
class Progress(Protocol):
    """Called with the steps done, the steps in all, and a few words on what was just done."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """Say that `done` of `total` steps are done."""


def silent(done: int, total: int, note: str = "", /) -> None:
    """Show nothing: the default of every function that is a part of longer work."""


def checked(progress: Progress) -> Progress:
    """The progress function itself.

    Raises:
        DataError: if it cannot be called as one.

    >>> checked(silent) is silent
    True
    """
    try:
        inspect.signature(progress).bind(0, 1, "")
    except TypeError:
        raise DataError(
            "progress is called with the steps done, the steps in all and a note; give a function of three arguments, such as "
            "lambda done, total, note: print(done, total, note)"
        ) from None
    except ValueError:  # one of C's, which does not say what it takes
        pass
    return progress


def shown(progress: Progress | None) -> Progress:
    """The progress function that was given; where none was, a bar in a notebook, and silence elsewhere.

    Raises:
        DataError: if it cannot be called as one.
    """
    if progress is not None:
        return checked(progress)
    return NotebookBar() if _in_notebook() else silent


class Pace:
    """How fast some work gets on, and how long it will take yet.

    What was done before it is first heard of, as by a run that is resumed, took no time; nor does it where work starts again.
    Steps need not take equally long. So what was told grows slowly, and it falls as soon as steps are quicker.
    """

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._done = 0
        self._told: tuple[float, float] | None = None  # when, and how many seconds were left then

    def seconds_left(self, done: int, total: int) -> float | None:
        """How many seconds it will take yet, now that so much is done; None where that cannot be told."""
        now = time.monotonic()
        if self._began is None or done < self._done:
            self._began, self._told = (now, done), None
        self._done = done
        began, first = self._began
        if not first < done < total:
            return None
        left = (now - began) / (done - first) * (total - done)
        if self._told is not None:
            before, told = self._told
            left = min(left, told + CREEP * (now - before))
        if now - began >= KNOWN:
            self._told = now, left
        return left


class NotebookBar:
    """Progress in the output of a notebook's cell: a bar, the time left, and what was just done."""

    def __init__(self) -> None:
        self._pace, self._last = Pace(), 0.0
        self._handle: Any = None

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """Draw the bar, if it was not drawn just now."""
        left, now = self._pace.seconds_left(done, total), time.monotonic()
        if self._handle is not None and done < total and now - self._last < REFRESH:
            return
        self._last = now
        self._show(_bar(done, total, left, note))

    def _show(self, text: str) -> None:
        display = import_module("IPython.display")  # it has no types, and is there in a notebook only
        shown = display.HTML(text)
        if self._handle is None:
            self._handle = display.display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _bar(done: int, total: int, left: float | None, note: str) -> str:
    """A bar as HTML.

    >>> _bar(3, 4, 12.3, "epoch <2>")
    '<progress value="3" max="4"></progress> 3/4, 12 s left, epoch &lt;2&gt;'
    """
    words = [f"{done}/{total}", "" if left is None else f"{left:.0f} s left", html.escape(note)]
    return f'<progress value="{done}" max="{total}"></progress> {", ".join(filter(None, words))}'


def _in_notebook() -> bool:
    """Whether this is a notebook's kernel, and no terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


def named(progress: Progress, name: str) -> Progress:
    """The same progress function, whose notes begin with what is worked on.

    >>> named(lambda done, total, note="": print(done, total, note), "basic")(1, 2, "epoch 1")
    1 2 basic, epoch 1
    """
    return lambda done, total, note="": progress(done, total, f"{name}, {note}")


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
