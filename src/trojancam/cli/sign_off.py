"""`trojancam sign-off`: a passport of a model file, from the scan of it."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import say
from trojancam.cli.options import ModelArgument, read_later


def sign_off(
    model: ModelArgument,
    scan: Annotated[
        Path,
        typer.Option(
            callback=read_later("--scan", ", or make one with 'trojancam scan'"),
            help="The folder that 'trojancam scan' wrote to, or the scan.json in it.",
        ),
    ] = Path("trojancam-scan"),
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-passport"),
) -> None:
    """Bundle the scan of a model file into a passport: one JSON file, and one page to print and to sign.

    It holds the verdict, the SHA-256 of the model file, of the images and of the scan, settings, versions, the date, what was
    searched and what was not. Exit code 0, whatever the verdict: 'trojancam verify' weighs it.
    """
    from trojancam.detection.words import ANSWERS
    from trojancam.report.sign_off import sign_off as run

    found = run(model, scan, out)
    told = found.passport.predicate
    say(f"{ANSWERS[told.verdict].upper()} (score {told.score:.3g}, backdoor from {told.threshold:.3g})")
    for each in found.passport.subject:
        say(f"{each.name}: SHA-256 {each.digest.sha256}")
    say(f"the page to sign is at {found.page.resolve()}, the passport beside it in {found.file.name}")
