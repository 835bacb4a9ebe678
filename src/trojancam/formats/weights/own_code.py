"""Own code: the callable that the user names to build a network, in a module that can be imported or in a Python file.

Whoever gives the command names it, never the model file. Importing runs it.
"""

import functools
import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trojancam.errors import ModelError, Remedy
from trojancam.text import with_article

SOURCE = ".py"
_BROUGHT: dict[str, Path] = {}
"""Modules that files of own code brought along, by name, and the folders that they lie in."""


def own_callable(name: str) -> Any:
    """What `module:callable` names, in a module of the user's own (installed, or in the current folder) or in `file.py`.

    Raises:
        ModelError: if the module or the file cannot be imported, or has no such callable.
    """
    where, _, what = name.rpartition(":")
    file = Path(where).expanduser().resolve() if _is_path(where) else None
    found = _of_module(where, name) if file is None else _of_file(file, name)
    for part in what.split("."):
        if not hasattr(found, part):
            kind, form = ("module", "module") if file is None else ("file", f"file{SOURCE}")
            raise ModelError(f"there is no {what} in the {kind} {where}; name the architecture as {form}:callable")
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(f"{name} is {with_article(type(found).__name__)}, which cannot be called to build a network")
    return found if file is None else _beside_its_file(found, file.parent)


def imported(module: str, name: str, remedy: Remedy, detail: str = "") -> Any:
    """The module that the architecture of this name needs.

    Raises:
        ModelError: if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # importing runs the user's own code, which can raise anything
        raise ModelError(
            f"the architecture {name} needs the module {module!r}, but {first_line(error)}", remedy, detail=detail
        ) from None


def first_line(error: BaseException) -> str:
    """What an error says, in a line.

    >>> first_line(ValueError("too wide.\\nSee below."))
    'too wide'
    """
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line.rstrip(".")[:300]


def _is_path(where: str) -> bool:
    return where.endswith(SOURCE) or Path(where).name != where


def _of_module(where: str, name: str) -> Any:
    with _importable_from(Path.cwd(), len(sys.path)):  # installed modules of the same name come first
        return imported(where, name, Remedy.IMPORTABLE)


def _of_file(path: Path, name: str) -> Any:
    """The module that a Python file makes; modules beside it come first when it imports, as if Python ran it."""
    if path.suffix != SOURCE or not path.is_file():
        raise ModelError(f"the architecture {name} needs the Python file {path}, which is not there", Remedy.IMPORTABLE)
    own = f"{path.stem}_{zlib.crc32(bytes(path)):08x}"  # a name that no other module has: net.py is a common one
    spec = importlib.util.spec_from_file_location(own, path)
    assert spec is not None
    assert spec.loader is not None  # a suffix that Python reads
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module  # dataclasses look their module up
    try:
        with _beside(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code can raise anything
        del sys.modules[own]
        raise ModelError(
            f"the architecture {name} needs the file {path}, but running that fails: {first_line(error)}; correct it"
        ) from None
    return module


@contextmanager
def _importable_from(folder: Path, place: int) -> Iterator[None]:
    """Modules in a folder can be imported, too; it has this place among those that are searched."""
    path = list(sys.path)
    sys.path.insert(place, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Modules in this folder are imported first; those of the same names that lie beside other files are forgotten."""
    for name, where in list(_BROUGHT.items()):
        if where != folder:
            del _BROUGHT[name]
            sys.modules.pop(name, None)
    known = set(sys.modules)
    try:
        with _importable_from(folder, 0):
            yield
    finally:
        new = {name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - known}
        _BROUGHT.update({name: folder for name, file in new.items() if file and folder in Path(file).parents})


def _beside_its_file(build: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """The same callable, which may import what lies beside its file when it is called, too."""

    @functools.wraps(build)
    def built(*given: Any, **named: Any) -> Any:
        with _beside(folder):
            return build(*given, **named)

    return built
