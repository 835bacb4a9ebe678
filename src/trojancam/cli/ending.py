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

from trojancam.cli.console import INTERRUPTED, OPTIONS, complain, warnings_in_a_line
from trojancam.errors import TrojanCamError
from trojancam.faults import FAULT, MENDABLE, ForeignExitError, in_words, logged, out_of_memory
from trojancam.startup import draw_as_delivered

DEBUG = "--debug"
JSON = "--json"
SHORTEST = b"fault: TrojanCAM failed, and could not say why; there is no result\n"


class CommandLine(typer.Typer):
    """The command line as a whole; a failure before there is any command ends as all others do."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, and exit."""
        try:
            return typer.main.get_command(self)(*args, **kwargs)
        except Exception as error:
            sys.exit(_failed(error, debug=False))


class Commands(TyperGroup):
    """A group whose commands end in one sentence: exit code 2 where the user can fix what went wrong, else 4.

    `--debug` may stand anywhere: it shows the traceback of a failure.
    """

    debug = False

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command line, and exit."""

        def run() -> Any:
            return super(Commands, self).main(*args, **{**kwargs, "standalone_mode": False})

        if not standalone_mode:
            return run()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # names of files may hold what is no text
                stream.reconfigure(errors="backslashreplace")
        sys.exit(self._ended(run))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` out of the arguments, wherever it stands before `--`."""
        own = args[: args.index("--")] if "--" in args else args
        self.debug = DEBUG in own
        return super().parse_args(ctx, [*(word for word in own if word != DEBUG), *args[len(own) :]])

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        draw_as_delivered()
        try:
            with warnings_in_a_line():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("interrupted", "bold red")
            raise typer.Exit(INTERRUPTED) from None

    def _ended(self, run: Callable[[], Any]) -> int:
        """The exit code; all that was printed has arrived, or that is an error too."""
        try:
            code = run()
            sys.stdout.flush()
        except (Exception, SystemExit) as error:  # a `typer.Exit` is a code already
            code = _failed(error, self.debug)
            if (unwritten := _flushed()) is not None:
                code = _failed(unwritten, self.debug)
        return code if isinstance(code, int) else 0


class OneCommand(TyperCommand):
    """A command of the group. `--json -`, one object on standard output, is what `--format json` says."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words that follow the command."""
        own = args[: args.index("--")] if "--" in args else args
        if "-" in own and (place := own.index("-")) and own[place - 1] == JSON:
            args = [*args[: place - 1], "--format", "json", *args[place + 1 :]]
        return super().parse_args(ctx, args)


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
    if isinstance(error, typer.Abort):
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
