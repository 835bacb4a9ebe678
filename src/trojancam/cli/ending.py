"""How a command ends: with a result, or in one sentence with an exit code that is never that of a verdict."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from trojancam.cli.anywhere import (
    DEBUG,
    Anywhere,
    announce,
    heard,
    options,
    parameter_values,
    taken,
    with_defaults,
)
from trojancam.cli.configuration import Defaults, defaults
from trojancam.cli.console import OPTIONS, complain, warnings_in_a_line
from trojancam.errors import TrojanCamError
from trojancam.faults import (
    FAULT,
    INTERRUPTED,
    MENDABLE,
    ForeignExitError,
    in_words,
    logged,
    memory_missed,
    out_of_memory,
)
from trojancam.startup import draw_as_delivered

COMPLETING = "_TROJANCAM_COMPLETE"
COMPLETION = {"--show-completion", "--install-completion"}
SHOWING = {"-h", "--help", "--version", *COMPLETION}  # nothing else is done then
JSON = "--json"
SHORTEST = b"fault: TrojanCAM failed, and could not say why; there is no result\n"


class CommandLine(typer.Typer):
    """The command line as a whole; a failure before there is any command ends as all others do."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, and exit."""
        try:
            return typer.main.get_command(self)(*args, **kwargs)
        except SystemExit:
            raise
        except BaseException as error:
            sys.exit(_failed(error, debug=False))


class Commands(TyperGroup):
    """A group whose commands end in one sentence: exit code 2 where the user can fix what went wrong, else 4.

    Options such as `--debug`, which shows the traceback of a failure, may stand anywhere.
    """

    debug = False
    anywhere = Anywhere()
    configured = Defaults({}, {})

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command line, and exit."""

        def run() -> Any:
            return super(Commands, self).main(*args, **{**kwargs, "standalone_mode": False})

        if not standalone_mode:
            return run()
        if COMPLETING in os.environ or COMPLETION & set(sys.argv[1:]):  # the shell asks, and Typer exits by itself
            return super().main(*args, **kwargs)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # names of files may hold what is no text
                stream.reconfigure(errors="backslashreplace")
        sys.exit(self._ended(run))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options that may stand anywhere out of the arguments, and look up what is configured."""
        self.debug = DEBUG in args
        self.anywhere, rest = taken(args)
        self.configured = Defaults({}, {})
        if rest and not ctx.resilient_parsing and not SHOWING & set(rest):
            known = {name: options(command.params) for name, command in self.commands.items()}
            self.configured = defaults(known, self.anywhere.config, self.anywhere.use_files)
            self.anywhere = with_defaults(self.anywhere, self.configured.common)
            ctx.default_map = {
                name: parameter_values(command.params, self.configured.commands[name])
                for name, command in self.commands.items()
                if name == rest[0]
            }
        self.debug = self.anywhere.debug
        return super().parse_args(ctx, rest)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        draw_as_delivered()
        try:
            with warnings_in_a_line(), heard(self.anywhere):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("interrupted", "bold red")
            raise typer.Exit(INTERRUPTED) from None

    def _ended(self, run: Callable[[], Any]) -> int:
        """The exit code; all that was printed has arrived, or that is an error too."""
        try:
            with memory_missed():
                code = run()
            sys.stdout.flush()
        except BaseException as error:  # a panic of Rust is no `Exception`; a `typer.Exit` is a code already
            code = _failed(error, self.debug)
            if (unwritten := _flushed()) is not None:
                code = _failed(unwritten, self.debug)
        return code if isinstance(code, int) else 0


class OneCommand(TyperCommand):
    """A command of the group. `--json -`, one object on standard output, is what `--format json` says."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words that follow the command, and say which defaults are configured."""
        own = args[: args.index("--")] if "--" in args else args
        if "-" in own and (place := own.index("-")) and own[place - 1] == JSON:
            args = [*args[: place - 1], "--format", "json", *args[place + 1 :]]
        group = ctx.find_root().command
        configured = group.configured if isinstance(group, Commands) else Defaults({}, {})
        own_defaults = dict(configured.commands.get(ctx.info_name, {}))
        try:
            rest = super().parse_args(ctx, args)
        except Exception:
            announce({**configured.common, **own_defaults})  # it may be for one of these
            raise
        used = {
            name: own_defaults[name]
            for name, option in options(self.params).items()
            if name in own_defaults and ctx.get_parameter_source(option.name).name == "DEFAULT_MAP"
        }
        announce({**configured.common, **used})
        return rest


def _failed(error: BaseException, debug: bool) -> int:
    """Say in one sentence what went wrong; the exit code."""
    try:
        if debug:
            traceback.print_exception(error)
        return _said(error)
    except Exception:  # for want of memory or of space, for one
        with suppress(OSError):
            os.write(2, SHORTEST)
        _forget("stderr")
        return FAULT


def _said(error: BaseException) -> int:
    if _is_broken_pipe(error):
        _forget("stdout")
        return MENDABLE
    if hasattr(error, "exit_code") and hasattr(error, "show"):  # typer's: wrong arguments
        _usage(error)
        return MENDABLE
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        complain("interrupted", "bold red")
        return INTERRUPTED
    if isinstance(error, SystemExit):
        error = ForeignExitError(f"code that it ran exited with {error.code}")
    if isinstance(error, TrojanCamError | OSError) and out_of_memory(error) is None:
        complain("error:", "bold red", error.told(OPTIONS) if isinstance(error, TrojanCamError) else _in_words(error))
        return MENDABLE
    complain("fault:", "bold red", in_words(error, logged(error)))
    return FAULT


def _usage(error: Any) -> None:
    """As typer itself says it."""
    from typer import rich_utils

    rich_utils.rich_format_error(error)


def _is_broken_pipe(error: BaseException) -> bool:
    """Whether whoever read the output has left; typer then exits by itself."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, OSError) and cause.errno == errno.EPIPE


def _flushed() -> OSError | None:
    """Why what was printed did not arrive, if so."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _forget("stdout")
        return error
    return None


def _forget(stream: str) -> None:
    """Nothing more can be written there, not even when Python ends, which would change the exit code."""
    setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end


def _in_words(error: OSError) -> str:
    """A system's error that no part of the library foresaw, such as a name that is too long."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the path, its permissions, and the space that is left"
