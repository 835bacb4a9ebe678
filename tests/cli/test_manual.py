"""The manual page says what `--help` says, and groff takes it; shells are answered without a word more."""

import os
import shutil
import subprocess
import sys

import pytest
import typer

from trojancam.cli import app
from trojancam.cli.anywhere import options
from trojancam.cli.manual import manual


def test_every_command_and_option_is_in_the_manual() -> None:
    text = manual().replace(r"\-", "-")
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        part = text.partition(f".SS trojancam {name} ")[2].partition(".SS ")[0]
        assert part, name
        for option in options(command.params):
            assert rf"\fB--{option}" in part, (name, option)
    assert "130 interrupted" in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_complain_of() -> None:
    """But for lists of names that are longer than a line."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Wbreak", "-Tutf8"], input=manual(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "trojancam scan" in done.stdout


def test_a_shell_is_answered_and_told_nothing_else() -> None:
    asked = {"COMP_WORDS": "trojancam scan --format s", "COMP_CWORD": "3", "_TROJANCAM_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "trojancam"], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["sarif"], "")
