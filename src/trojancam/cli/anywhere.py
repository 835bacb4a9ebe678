"""Options of every command, which may stand anywhere on the command line: `--quiet`, `--verbose`, `--debug`, `--config`."""

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trojancam.cli.configuration import Default, truth
from trojancam.cli.console import complain, console
from trojancam.errors import TrojanCamError
from trojancam.processes import peak_bytes
from trojancam.version import __version__

QUIET, VERBOSE, DEBUG, CONFIG, NO_CONFIG = "--quiet", "--verbose", "--debug", "--config", "--no-config"
EVERYWHERE = f"With every command: {QUIET}, {VERBOSE}, {DEBUG}, {CONFIG} FILE, {NO_CONFIG}; see 'trojancam --help'."


@dataclass(frozen=True)
class Anywhere:
    """What was said by options that may stand anywhere."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    config: Path | None = None
    use_files: bool = True


def taken(args: list[str]) -> tuple[Anywhere, list[str]]:
    """These options out of the arguments, wherever they stand before `--`, and the other arguments.

    Raises:
        TrojanCamError: if `--config` names no file.

    >>> taken(["scan", "--quiet", "net.onnx", "--", "--debug"])[1]
    ['scan', 'net.onnx', '--', '--debug']
    """
    own = args[: args.index("--")] if "--" in args else args
    flags, config, rest = set(), None, []
    words = iter(own)
    for word in words:
        name, equals, value = word.partition("=")
        if word in (QUIET, VERBOSE, DEBUG, NO_CONFIG):
            flags.add(word)
        elif name == CONFIG:
            value = value if equals else next(words, "")
            if not value:
                raise TrojanCamError(f"{CONFIG} names no file; give the path of a configuration after it")
            config = Path(value)
        else:
            rest.append(word)
    found = Anywhere(QUIET in flags, VERBOSE in flags, DEBUG in flags, config, NO_CONFIG not in flags)
    return found, [*rest, *args[len(own) :]]


def with_defaults(said: Anywhere, common: Mapping[str, Default]) -> Anywhere:
    """The same, with what is configured where nothing was said."""

    def or_default(name: str) -> bool:
        return getattr(said, name) or (name in common and bool(common[name].value))

    return Anywhere(or_default("quiet"), or_default("verbose"), or_default("debug"), said.config, said.use_files)


def parameter_values(parameters: list[Any], found: Mapping[str, Default]) -> dict[str, Any]:
    """Configured defaults in the form in which Typer takes them, by the names of parameters.

    Raises:
        TrojanCamError: if a flag is neither true nor false.
    """
    return {
        parameter.name: _value(parameter, found[name])
        for name, parameter in options(parameters).items()
        if name in found
    }


def options(parameters: list[Any]) -> dict[str, Any]:
    """The options among the parameters of a command, by the first of their names, without the dashes."""
    named = {each.opts[0].removeprefix("--"): each for each in parameters if each.param_type_name == "option"}
    return {name: each for name, each in named.items() if name not in ("help", "version")}


def _value(parameter: Any, default: Default) -> Any:
    value = default.value
    if getattr(parameter, "is_flag", False):
        return truth(value, f"{parameter.opts[0]} in {default.origin}")
    if parameter.multiple:
        return [str(each) for each in (value if isinstance(value, list) else str(value).split())]
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def announce(found: dict[str, Default]) -> None:
    """Say which defaults were configured, and where: a result must not depend on a file that nobody remembers."""
    for origin in dict.fromkeys(default.origin for default in found.values()):
        told = ", ".join(f"--{name} {_shown(each.value)}" for name, each in found.items() if each.origin == origin)
        complain("configuration:", "cyan", f"{origin} sets {told}")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@contextmanager
def heard(said: Anywhere) -> Iterator[None]:
    """Print as little, or as much, as was said while a command runs."""
    started = time.monotonic()
    console.quiet = said.quiet
    if said.verbose:
        complain(
            "verbose:", "dim", f"TrojanCAM {__version__}, Python {platform.python_version()}, {platform.platform()}"
        )
    try:
        yield
    finally:
        console.quiet = False
        if said.verbose:
            complain("verbose:", "dim", f"took {time.monotonic() - started:.1f} s{_memory()}")


def _memory() -> str:
    used = peak_bytes()
    return "" if used is None else f", at most {used / 2**20:.0f} MiB of memory"
