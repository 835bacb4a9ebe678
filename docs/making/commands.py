"""Commands: what each command's `--help` says, as a page of the reference; `docs.making.written` writes it."""

import click
import typer

HEAD = """# Commands

`trojancam COMMAND --help` prints the same. [How the commands end](#how-the-commands-end) says what their exit codes mean.
"""


def page() -> str:
    """Every command with its arguments and options, as the command line's own parser knows them."""
    from trojancam.cli import app
    from trojancam.faults import EXIT_CODES

    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    parts = [HEAD]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        parts.append(section(name, command))
    return "\n".join([*parts, "## How the commands end", "", EXIT_CODES, ""])


def section(name: str, command: click.Command) -> str:
    """One command: what it does, and a table of what it takes."""
    words = (command.help or "").strip()
    rows = [row(parameter) for parameter in command.params if parameter.name != "help"]
    table = ["| argument or option | what it is | default |", "| --- | --- | --- |", *rows]
    return "\n".join([f"## {name}", "", words, "", *table, ""])


def row(parameter: click.Parameter) -> str:
    """An argument or option as a row: names, what it is, and what it is where it is left out."""
    option = getattr(parameter, "param_type_name", "") == "option"
    names = ", ".join(f"`{name}`" for name in (parameter.opts if option else [str(parameter.name).upper()]))
    default = parameter.default if isinstance(parameter.default, str | int | float) and option else ""
    shown = "" if default in ("", False, None) else f"`{default}`"
    required = "required" if parameter.required else shown
    words = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {names} | {words} | {required} |"
