"""Showing: results that say in a line what they are, and draw themselves in a notebook.

What draws them lies far above, and is loaded when it is asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from importlib import import_module
from itertools import accumulate, islice
from typing import Any, TypeVar

from trojancam.errors import MissingNameError, unknown_name

PAINTER = "trojancam.report.notebook"  # by name: imports go downward only
LONGEST = 60  # characters of one part of a result, at most
LENGTH = 500  # characters of all its parts, at most
MOST = 4  # of many things, so many are listed

T = TypeVar("T")


class Brief:
    """A dataclass whose `repr` says of arrays their shapes and of collections their first few; the numbers are its fields'.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Rates(Brief):
    ...     method: str
    ...     values: list[float]
    >>> Rates("grad-cam", [0.25, 0.5, 1.0, 0.125, 0.5, 0.75])
    Rates(method='grad-cam', values=[0.25, 0.5, 1, 0.125, ... 2 more])
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Brief.__repr__  # type: ignore[method-assign]  # where a class has one, `dataclass` adds none

    def __repr__(self) -> str:
        names = [field.name for field in fields(self) if field.repr]  # type: ignore[arg-type]
        words = [f"{name}={brief(getattr(self, name))}" for name in names]
        ends = accumulate(len(word) + 2 for word in words)
        fitting = sum(end <= LENGTH for end in ends)
        more = [f"... {len(words) - fitting} more"] if fitting < len(words) else []
        return f"{type(self).__name__}({', '.join(words[:fitting] + more)})"


class Shown(Brief):
    """A result that a notebook shows as HTML, self-contained and without scripts."""

    def _repr_html_(self) -> str:
        return str(import_module(PAINTER).html_of(self))


class Named(Mapping[str, T], Shown):
    """Results by name, such as those of several layers; `kind` is what the names are names of.

    >>> maps = Named("layer", {"conv2d": 1, "conv2d_1": 2})
    >>> maps["conv2d"], maps
    (1, 2 layers: conv2d, conv2d_1)
    >>> maps["conv2d_2"]
    Traceback (most recent call last):
        ...
    trojancam.errors.MissingNameError: unknown layer 'conv2d_2' (did you mean 'conv2d_1'?); known: conv2d, conv2d_1
    """

    def __init__(self, kind: str, results: Mapping[str, T]) -> None:
        self.kind = kind
        self._results = dict(results)

    def __getitem__(self, name: str) -> T:
        """The result of this name.

        Raises:
            MissingNameError: if there is none; it lists the names that there are.
        """
        if name not in self._results:
            raise MissingNameError(unknown_name(self.kind, name, self._results).problem)
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        count = len(self)
        return f"{count} {self.kind}{'s' * (count != 1)}{': ' if count else ''}{listed(self, count)}"


def brief(value: object, depth: int = 0) -> str:
    """A value in a few characters: of an array its type and shape, of a collection what comes first.

    >>> brief({"conv2d": range(3)}), brief("x" * 100)
    ("{'conv2d': range(0, 3)}", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...")
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _within(_collection(value, depth))
    if depth and isinstance(value, Brief) and not isinstance(value, Named):
        return f"{type(value).__name__}(...)"
    return _within(repr(value))


def listed(words: Iterable[str], count: int) -> str:
    """The first few of so many words, and how many there are besides.

    >>> listed(["conv2d", "conv2d_1"], 2), listed("abcdefg", 7)
    ('conv2d, conv2d_1', 'a, b, c, d, ... 3 more')
    """
    more = [f"... {count - MOST} more"] if count > MOST else []
    return ", ".join([*islice(words, MOST), *more])


def _collection(values: dict[Any, Any] | list[Any] | tuple[Any, ...] | AbstractSet[Any], depth: int) -> str:
    """Its first few members, or, far inside, how many there are."""
    count = len(values)
    if depth > 1 and count:
        return f"{type(values).__name__} of {count}"
    if isinstance(values, dict):
        return "{" + listed((f"{key!r}: {brief(one, depth + 1)}" for key, one in values.items()), count) + "}"
    words = listed((brief(one, depth + 1) for one in values), count)
    if isinstance(values, tuple):
        return f"({words}{',' * (count == 1)})"
    return f"[{words}]" if isinstance(values, list) else f"{{{words}}}"


def _within(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."
