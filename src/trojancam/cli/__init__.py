"""The command line: it parses, calls the library, prints, and exits. Heavy imports happen inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.anywhere import EVERYWHERE
from trojancam.cli.calibrate import calibrate
from trojancam.cli.cleanse import cleanse
from trojancam.cli.compare import compare
from trojancam.cli.demo import demo
from trojancam.cli.ending import CommandLine, Commands, OneCommand
from trojancam.cli.explain import explain
from trojancam.cli.explore import explore
from trojancam.cli.fleet import fleet
from trojancam.cli.inspect import inspect
from trojancam.cli.methods import methods
from trojancam.cli.models import models
from trojancam.cli.repair import repair
from trojancam.cli.reproduce import reproduce
from trojancam.cli.scan import scan
from trojancam.cli.sift import sift
from trojancam.cli.sign_off import sign_off
from trojancam.cli.stimulate import stimulate
from trojancam.cli.train import train
from trojancam.cli.verify import verify
from trojancam.faults import EXIT_CODES
from trojancam.version import __version__

app = CommandLine(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See, find and remove backdoors in image classifiers.",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"trojancam {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print errors, warnings and what --format or --json asks for, no more.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print versions, time and memory as well, on standard error.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with defaults of options, or a pyproject.toml with [tool.trojancam]; else trojancam.toml or "
            "pyproject.toml in the current folder, which may only set how results are shown."
        ),
    ] = None,
    no_config: Annotated[bool, typer.Option("--no-config", help="Read no configuration file.")] = False,
) -> None:
    """See, find and remove backdoors in image classifiers.

    The options on this page may stand anywhere, before and behind the command.
    """


for command in (
    demo,
    explore,
    train,
    inspect,
    explain,
    compare,
    stimulate,
    scan,
    calibrate,
    sift,
    cleanse,
    repair,
    fleet,
    sign_off,
    verify,
    reproduce,
    models,
    methods,
):
    app.command(cls=OneCommand, epilog=EVERYWHERE)(command)
