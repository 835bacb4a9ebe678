"""`trojancam verify`: is a model file still the one that was signed off?"""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import say
from trojancam.cli.options import ModelArgument, read_later


def verify(
    passport: Annotated[
        Path, typer.Argument(callback=read_later("PASSPORT"), help="The passport.json of 'trojancam sign-off'.")
    ],
    model: ModelArgument,
) -> None:
    """Compare a model file with its passport: is it the same file, and what was its verdict?

    Exit code 0: it is the same file, and nothing was found in it; 1: it is another file, or evidence of a backdoor was found in
    it; 2: an error; 3: it is the same file, and the scan was inconclusive or did not judge it.
    """
    from trojancam.report.verify import verify as run

    found = run(passport, model)
    for line in found.in_words():
        say(line)
    raise typer.Exit(found.exit_code)
