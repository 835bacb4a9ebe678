"""Startup: commands, and processes that they start, obey nothing that lies in the current folder.

A model is often looked at in the folder that it was downloaded or unpacked to. Python imports modules from there if it is
started as `python -m`, and matplotlib looks there for a configuration, which can have it call LaTeX.
"""

import os
import sys
from typing import Any

OWN = "trojancam"
MATPLOTLIB, CONFIGURATION = "matplotlib", "matplotlibrc"


def leave_current_folder() -> None:
    """Where this process is `python -m trojancam`, take the current folder off the path, on which Python puts it first.

    What Python imports before this package can still come from there: `trojancam` and `python -P -m trojancam` are safer.
    """
    ours = any(word.removeprefix("-m").partition(".")[0] == OWN for word in sys.orig_argv)
    if ours and sys.argv[:1] == ["-m"] and not sys.flags.safe_path:  # it is "-m" until the module has been found
        del sys.path[0]


def draw_as_delivered() -> None:
    """From here on this process draws as matplotlib is delivered, whatever is configured in the current folder or elsewhere.

    For programs, and not for a library's user: in a notebook matplotlib is configured as its author likes.
    """
    os.environ["MATPLOTLIBRC"] = os.devnull
    if MATPLOTLIB not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Imports matplotlib so that it does not see a configuration in the current folder, where it looks first."""

    def find_spec(self, name: str, *_: Any) -> Any:
        """Where matplotlib is; nothing for all other modules."""
        if name != MATPLOTLIB:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Run the module; meanwhile there is no file of this name in the current folder."""
        exists = os.path.exists
        os.path.exists = lambda path: path != CONFIGURATION and exists(path)
        try:
            self._loader.exec_module(module)
        finally:
            os.path.exists = exists
