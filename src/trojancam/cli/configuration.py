"""Defaults of options: from a configuration file and from environment variables, and who may set what.

Stronger first: the command line; `TROJANCAM_SCAN_IMAGES`, for one command; `TROJANCAM_DEVICE`, for all; a configuration file. A
file that the user names, by `--config` or `TROJANCAM_CONFIG`, may set every option. One that merely lies in the current folder
may come from whoever the model comes from: it may set how results are shown, and nothing that a verdict depends on, that code is
run by, or that says what is read and written.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trojancam.errors import TrojanCamError, UnknownNameError, unknown_name

OWN, PROJECT = "trojancam.toml", "pyproject.toml"
HARMLESS = ("format", "quiet", "verbose")  # what a file that nobody named may set
GLOBAL = ("quiet", "verbose", "debug")  # options of every command
PREFIX = "TROJANCAM_"
LARGEST = 1 << 20  # bytes of a configuration file
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")

Options = Mapping[str, Any]  # Typer's options by their names on the command line, without the dashes


@dataclass(frozen=True)
class Source:
    """Where defaults come from: its name for people, what it sets, and whether the user named it."""

    name: str
    values: Mapping[str, Any]
    trusted: bool


@dataclass(frozen=True)
class Default:
    """A default of an option, and where it comes from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Defaults:
    """Defaults of the options that every command has, and of each command's own, by their names on the command line."""

    common: Mapping[str, Default]
    commands: Mapping[str, Mapping[str, Default]]


def defaults(commands: Mapping[str, Options], config: Path | None, use_files: bool = True) -> Defaults:
    """All defaults that are configured, for commands with these options.

    Raises:
        TrojanCamError: if a file cannot be read, or sets what there is not or what it may not.
    """
    named = config or (
        Path(os.environ["TROJANCAM_CONFIG"]) if use_files and os.environ.get("TROJANCAM_CONFIG") else None
    )
    source = _named(named) if named is not None else _found() if use_files else None
    common: dict[str, Default] = {}
    own: dict[str, dict[str, Default]] = {name: {} for name in commands}
    if source is not None:
        for command, option, value in _settings(source, commands):
            _set(common, own, commands, command, option, Default(value, source.name))
    for command, option, value, name in _variables(commands):
        _set(common, own, commands, command, option, Default(value, name))
    return Defaults(common, own)


def _set(
    common: dict[str, Default],
    own: dict[str, dict[str, Default]],
    commands: Mapping[str, Options],
    command: str | None,
    option: str,
    default: Default,
) -> None:
    """Give the default to one command, or to all that have the option."""
    if option in GLOBAL:
        common[option] = Default(truth(default.value, f"{option} in {default.origin}"), default.origin)
        return
    for name in [command] if command is not None else [name for name, known in commands.items() if option in known]:
        own[name][option] = default


def _named(path: Path) -> Source:
    found = _table(path)
    if found is None:
        raise TrojanCamError(f"{path} has no table [tool.trojancam]; give a file with one, or a {OWN}")
    return Source(str(path), found, trusted=True)


def _found() -> Source | None:
    """The file in the current folder, if there is one that sets anything."""
    for name in (OWN, PROJECT):
        path = Path(name)
        if path.is_file():
            found = _table(path)
            if found is not None:
                return Source(name, found, trusted=False)
    return None


def _table(path: Path) -> Mapping[str, Any] | None:
    """What a file sets; of a pyproject.toml only what is meant for this program, if anything is."""
    try:
        if not path.is_file():
            raise TrojanCamError(f"there is no configuration file {path}; check the path, or leave out --config")
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise TrojanCamError(f"{path} is too large for a configuration file; give --no-config to go without it")
        found = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise TrojanCamError(
            f"cannot read the configuration {path} ({error.strerror}); check it, or give --no-config"
        ) from None
    except (ValueError, RecursionError) as error:  # also of text that is no UTF-8
        raise TrojanCamError(f"{path} is no TOML ({error}); correct it, or give --no-config to go without it") from None
    if path.name != PROJECT:
        return found
    tool = found.get("tool")
    own = tool.get("trojancam") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else None


def _settings(source: Source, commands: Mapping[str, Options]) -> Iterator[tuple[str | None, str, Any]]:
    """What a file sets: command, if it is for one alone, option and value."""
    everywhere = {option for options in commands.values() for option in options} | set(GLOBAL)
    for key, value in source.values.items():
        if isinstance(value, dict):
            command = key.replace("_", "-")
            if command not in commands:
                raise _unknown("command", key, commands, source)
            for name, each in value.items():
                yield command, *_setting(source, name, each, commands[command], f"{command}.")
        else:
            yield None, *_setting(source, key, value, dict.fromkeys(everywhere), "")


def _setting(source: Source, key: str, value: Any, known: Options, before: str) -> tuple[str, Any]:
    option = key.replace("_", "-")
    if option not in known:
        raise _unknown("option", f"{before}{key}", [f"{before}{each}" for each in sorted(known)], source)
    if not source.trusted and option not in HARMLESS:
        raise TrojanCamError(
            f"{source.name} in the current folder sets {before}{option}, which only a configuration that you name may set; give "
            f"--config {source.name} if it is yours, or --no-config to go without it"
        )
    if not isinstance(value, str | int | float | bool | list):
        raise TrojanCamError(f"{before}{option} in {source.name} is no text, number, truth value or list; correct it")
    return option, value


def _unknown(kind: str, name: str, known: Any, source: Source) -> UnknownNameError:
    return UnknownNameError(f"{source.name}: {unknown_name(kind, name, known)}; correct it, or give --no-config")


def _variables(commands: Mapping[str, Options]) -> Iterator[tuple[str | None, str, str, str]]:
    """What environment variables set, those for all commands first; other variables may begin so, too."""
    everywhere = {_variable(option): option for options in commands.values() for option in options}
    everywhere |= {_variable(option): option for option in GLOBAL}
    for name, option in sorted(everywhere.items()):
        if os.environ.get(name):
            yield None, option, os.environ[name], name
    for command, options in commands.items():
        own = {_variable(f"{command}-{option}"): option for option in options}
        for name in sorted(os.environ):
            if name.startswith(f"{_variable(command)}_") and name not in everywhere and os.environ[name]:
                if name not in own:
                    if any(name.startswith(f"{_variable(other)}_") for other in commands if len(other) > len(command)):
                        continue  # `TROJANCAM_SIGN_OFF_OUT` is none of a command `sign`
                    raise UnknownNameError(
                        f"{unknown_name('environment variable', name, sorted(own))}; correct it, or unset it"
                    )
                yield command, own[name], os.environ[name], name


def _variable(words: str) -> str:
    """The environment variable of an option.

    >>> _variable("scan-class-names")
    'TROJANCAM_SCAN_CLASS_NAMES'
    """
    return PREFIX + words.upper().replace("-", "_")


def truth(value: Any, where: str) -> bool:
    """A truth value, from TOML or from an environment variable.

    Raises:
        TrojanCamError: if it is none.

    >>> truth(True, "quiet"), truth("yes", "quiet"), truth("0", "quiet")
    (True, True, False)
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in (*TRUE, *FALSE):
        raise TrojanCamError(f"{where} is {value!r}, which is neither true nor false; write one of the two")
    return word in TRUE
