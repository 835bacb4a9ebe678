"""The manual page, from the same source as `--help`: `python -m trojancam.cli.manual FOLDER` writes `trojancam.1` there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from trojancam.faults import EXIT_CODES
from trojancam.files import written_whole
from trojancam.version import __version__

FILES = (
    ("./trojancam.toml, ./pyproject.toml", "Defaults of how results are shown; see --config."),
    ("$TROJANCAM_CONFIG", "A configuration file, which may set every option."),
    ("$TROJANCAM_CACHE", "The folder for what can be made again."),
    (
        "$TROJANCAM_COMMAND_OPTION, $TROJANCAM_OPTION",
        "An option of one command, or of all, such as TROJANCAM_SCAN_IMAGES.",
    ),
)


def manual() -> str:
    """The page in the language of man(7)."""
    from trojancam.cli import app

    group = typer.main.get_command(app)
    with typer.Context(group, info_name="trojancam") as context:
        commands = {name: group.get_command(context, name) for name in group.list_commands(context)}  # type: ignore[attr-defined]
        return "\n".join(_page(group, commands, context)) + "\n"


def _page(group: Any, commands: dict[str, Any], context: Any) -> Iterator[str]:
    yield f'.TH TROJANCAM 1 "" "TrojanCAM {__version__}" "User Commands"'
    yield from (".ad l", ".nh")  # names of options are neither stretched nor broken
    yield from (".SH NAME", rf"trojancam \- {_roff(app_help(group)).rstrip('.')}")
    yield from (".SH SYNOPSIS", r".B trojancam", r".I command", r"[\fIoptions\fR]")
    yield ".SH OPTIONS OF EVERY COMMAND"
    for parameter in group.params:
        yield from _parameter(parameter, context)
    yield ".SH COMMANDS"
    for name, command in commands.items():
        with typer.Context(command, info_name=name, parent=context) as own:
            yield f".SS trojancam {_roff(name)} {_roff(' '.join(command.collect_usage_pieces(own)))}"
            yield from _paragraphs(command.help or "")
            for parameter in command.params:
                yield from _parameter(parameter, own)
    yield from (".SH EXIT STATUS", _roff(EXIT_CODES.removeprefix("Exit codes: ")))
    yield ".SH FILES AND ENVIRONMENT"
    for name, words in FILES:
        yield from (".TP", rf"\fB{_roff(name)}\fR", _roff(words))


def app_help(group: Any) -> str:
    """The first line of what the program says of itself."""
    return str(group.help or "").strip().partition("\n")[0]


def _parameter(parameter: Any, context: Any) -> Iterator[str]:
    """An argument or an option: its names and what `--help` says of it."""
    if getattr(parameter, "hidden", False):
        return
    names, words = parameter.get_help_record(context) or (parameter.name, "")
    yield from (".TP", rf"\f{'I' if parameter.param_type_name == 'argument' else 'B'}{_roff(names)}\fR", _roff(words))


def _paragraphs(words: str) -> Iterator[str]:
    for paragraph in words.split("\n\n"):
        yield _roff(" ".join(paragraph.split()))
        yield ".PP"


def _roff(words: str) -> str:
    r"""Words as man(7) takes them: no escape, no dash that becomes another one, and no line that begins with a command.

    >>> print(_roff("'a' --b \\ [bold]c[/]"))
    \(aqa\(aq \-\-b \e c
    """
    plain = re.sub(r"\[/?(?:bold|dim)?\]", "", " ".join(words.split()))
    return (
        plain.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("“", r"\(lq").replace("”", r"\(rq")
    )


def main() -> None:
    """Write the page into the folder that is named."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "trojancam.1"
    with written_whole(path) as partial:
        partial.write_text(manual(), encoding="utf-8")


if __name__ == "__main__":
    main()
