"""Outcome: what a command says of one model file, as checks that passed or did not; every format is written from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trojancam.faults import MENDABLE
from trojancam.report.machines.rules import REFUSED, Rule
from trojancam.showing import Brief
from trojancam.text import as_text

State = Literal["passed", "failed", "undecided", "skipped"]
"""`failed`: there is a finding. `undecided`: the check gave no answer, which is never a pass. `skipped`: it was not made."""


@dataclass(frozen=True)
class Detail(Brief):
    """One finding of a check, in words; `place` is the layer of the network that it lies in, if it is known."""

    message: str
    place: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check(Brief):
    """One question and what came of it; `file` is what it looked at, where that is not the model file."""

    name: str
    rule: Rule
    state: State
    message: str
    details: tuple[Detail, ...] = ()
    file: str | None = None


@dataclass(frozen=True)
class Outcome(Brief):
    """What a command says of a model file.

    `verdict` is the answer in a few words, `document` all of it for JSON, `notes` what the answer is to be weighed by.

    >>> from trojancam.report.machines.rules import BACKDOOR
    >>> Outcome("scan", "net.onnx", "Nothing found", (Check("verdict", BACKDOOR, "passed", ""),), {}).state
    'passed'
    """

    command: str
    file: str
    verdict: str
    checks: tuple[Check, ...]
    document: Mapping[str, Any]
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def state(self) -> State:
        """The worst of all checks; checks that were skipped do not count."""
        found = {check.state for check in self.checks}
        return next((state for state in ("failed", "undecided") if state in found), "passed")


def of_refusal(command: str, model: Path, sentence: str) -> Outcome:
    """A command that ended in a sentence that its user can act on; a missing file must not wait for large imports."""
    found = {"command": command, "file": as_text(model), "refused": sentence}
    check = Check("verdict", REFUSED, "undecided", sentence)
    return Outcome(command, as_text(model), "Refused", (check,), found, exit_code=MENDABLE)
