"""Registry: named, documented things in a fixed order; other packages add theirs through entry points.

A package adds a thing without a change here. Its `pyproject.toml` names the thing and the object behind it:

    [project.entry-points."trojancam.methods"]
    my-cam = "my_package:my_cam"

The same object can be registered by hand, `@METHODS.register("my-cam")`, for one notebook or script.
"""

import hashlib
import inspect
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Generic, TypeVar

from trojancam.errors import TrojanCamError, TrojanCamWarning, unknown_name
from trojancam.text import with_article

OWN = "trojancam"  # the origin of what this package brings
BY_HAND = "registered by hand"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_-]*")

Thing = TypeVar("Thing")
Given = TypeVar("Given")


class Registry(Mapping[str, Thing], Generic[Thing]):
    """Things of one kind by name: those of this package, then those that were added, in the order in which they came.

    `group` is the group of entry points through which packages add theirs, and `made` turns what they name into a thing:
    it is called with the name, the object and further details. Entry points are loaded when the registry is listed, or
    asked for a name that it does not know. One that cannot be loaded is a warning that names it; the rest work on. A name
    that is taken is never given to another thing.

    >>> squares = Registry("shape", "trojancam.examples", lambda name, given: given, {"square": 4})
    >>> squares.register("triangle")(3)
    3
    >>> list(squares), squares["triangle"], squares.origin("square")
    (['square', 'triangle'], 3, 'trojancam')
    """

    def __init__(self, kind: str, group: str, made: Callable[..., Thing], own: Mapping[str, Thing]) -> None:
        self.kind, self.group = kind, group
        self.own = tuple(own)
        self._made = made
        self._things: dict[str, Thing] = dict(own)
        self._origins = dict.fromkeys(own, OWN)
        self._given: dict[str, object] = {}
        self._modules: dict[str, str] = {}
        self._searched = False
        self._lock = threading.RLock()

    def register(self, name: str, **details: object) -> Callable[[Given], Given]:
        """A decorator that adds what it decorates under this name, and returns it as it was.

        The module that registered a name may register it again: a cell of a notebook is run more than once.

        Raises:
            TrojanCamError: if the name is taken or is none, or the object cannot be made into a thing of this kind.
        """

        module = _caller()

        def add(given: Given) -> Given:
            self._add(name, given, BY_HAND, module, details)
            return given

        return add

    def named(self, name: str, known: Iterable[str] | None = None) -> Thing:
        """The thing of this name; `known` are the names that may be asked for here (None: all).

        Raises:
            UnknownNameError: if there is none.
        """
        if name not in (self if known is None else known):
            raise unknown_name(self.kind, name, self if known is None else known)
        return self[name]

    def origin(self, name: str) -> str:
        """Who brought a thing: `trojancam`, a package with its version, or `registered by hand`."""
        self._search()
        return self._origins[name]

    def code(self, name: str) -> str:
        """A name for the code behind a thing that was added, so that kept results are never continued with other code.

        It covers the file of the module that brought it, or else the source of the object. What this package brings has
        the name of the package: its version stands for its code.
        """
        origin = self.origin(name)
        return origin if origin == OWN else f"{origin} {_digest_of_code(self._given[name], self._modules[name])}"

    def __getitem__(self, name: str) -> Thing:
        if name not in self._things:
            self._search()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(tuple(self._things))

    def __len__(self) -> int:
        self._search()
        return len(self._things)

    def __repr__(self) -> str:
        return f"{self.kind}s: {', '.join(self)}"

    def _search(self) -> None:
        """Load the entry points, once."""
        with self._lock:
            if self._searched:
                return
            self._searched = True  # a plug-in may ask for names while it is being loaded
            for distribution, entry in _entry_points(self.group):
                origin = f"{distribution.metadata['Name']} {distribution.version}"
                try:
                    self._add(entry.name, entry.load(), origin, entry.module, {})
                except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
                    reason = str(error) if isinstance(error, TrojanCamError) else f"{type(error).__name__}: {error}"
                    warnings.warn(
                        f"the {self.kind} {entry.name!r} of {origin} is left out ({reason}); update or uninstall it",
                        TrojanCamWarning,
                        stacklevel=3,
                    )

    def _add(self, name: str, given: object, origin: str, module: str, details: dict[str, object]) -> None:
        with self._lock:
            if name in self._things and self._given.get(name) is given:
                return  # its module registers it when it is imported, and its entry point names it, too
            if name in self._things and (BY_HAND, module) != (origin, self._modules.get(name)):
                raise TrojanCamError(
                    f"there is {with_article(self.kind)} {name!r} already, which nothing replaces; choose another name"
                )
            if not NAME.fullmatch(name):
                raise TrojanCamError(
                    f"{name!r} cannot name {with_article(self.kind)}; use letters, digits, '-', '_' and '+'"
                )
            self._things[name] = self._made(name, given, **details)
            self._origins[name], self._given[name], self._modules[name] = origin, given, module


def _entry_points(group: str) -> list[tuple[Any, Any]]:
    """The entry points of a group in the order of their names, whatever the order of the folders that Python searches.

    They come as pairs of distribution and entry point. Where the backport of `importlib.metadata` was imported, these are of
    its own classes. A package that merely lies in the current folder adds nothing: it may have come with a downloaded model.
    """
    here = Path.cwd()
    found = {
        (entry.name, distribution.metadata["Name"], entry.value): (distribution, entry)
        for distribution in distributions()
        if Path(str(distribution.locate_file(""))).resolve() != here
        for entry in distribution.entry_points.select(group=group)
    }
    return [found[key] for key in sorted(found)]


def _caller() -> str:
    """The module that calls this one; a type checker may stand in between."""
    frame = sys._getframe(1)
    while frame.f_back and _stands_between(str(frame.f_globals.get("__name__"))):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _stands_between(module: str) -> bool:
    return module == __name__ or module.partition(".")[0] in ("jaxtyping", "beartype")


def _digest_of_code(given: object, module: str) -> str:
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        text = Path(file).read_bytes() if file else inspect.getsource(given).encode()  # type: ignore[arg-type]
    except (OSError, TypeError):
        text = repr(given).encode()  # with its place in memory: another process takes nothing over from this one
    return hashlib.sha256(text).hexdigest()[:16]
