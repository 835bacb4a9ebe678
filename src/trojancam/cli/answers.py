"""The answer of a command for machines: one object on standard output, everything else on standard error."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trojancam.cli.console import OPTIONS
from trojancam.errors import TrojanCamError

if TYPE_CHECKING:
    from trojancam.report.machines.outcome import Outcome

Format = Literal["text", "json", "sarif", "junit", "markdown"]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        help="What standard output gets: text for people, or one object for machines, and the text goes to standard error.",
    ),
]


@dataclass
class Answering:
    """`--format`, for a command that tells one outcome or several."""

    form: FormatOption = "text"
    outcomes: list["Outcome"] = field(default_factory=list, init=False)

    @property
    def wanted(self) -> Format:
        """The format that was asked for."""
        return self.form

    @property
    def for_machines(self) -> bool:
        """Whether standard output is for an object alone."""
        return self.wanted != "text"

    def tell(self, outcome: "Outcome") -> None:
        """Give an outcome; it is written when the command ends."""
        self.outcomes.append(outcome)

    @contextmanager
    def around(self, command: str, given: dict[str, Any]) -> Iterator[None]:
        """Run a command; a refusal is an outcome, too."""
        if not self.for_machines:
            yield
            return
        output = sys.stdout
        try:
            with redirect_stdout(sys.stderr):
                yield
        except TrojanCamError as error:
            if not self.outcomes:
                from trojancam.report.machines.outcome import of_refusal

                self.tell(of_refusal(command, _model(given), error.told(OPTIONS)))
            raise
        finally:
            if self.outcomes:
                from trojancam.report.machines.writing import FORMATS

                output.write(FORMATS[self.wanted](self.outcomes))
                output.flush()


@dataclass
class AnsweringInJson(Answering):
    """The same with `--json`."""

    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json; '--json -' is understood, too.")
    ] = False

    @property
    def wanted(self) -> Format:
        """The format that was asked for."""
        return "json" if self.as_json else self.form


def _model(given: dict[str, Any]) -> Path:
    """The model file among the arguments of a command."""
    found = given.get("model", given.get("models"))
    return found[0] if isinstance(found, Sequence) and not isinstance(found, str) else Path(found or "")
