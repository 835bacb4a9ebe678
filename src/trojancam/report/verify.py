"""Verifying a passport: is a model file still the one that was signed off, and what did the passport say of it?"""

from dataclasses import dataclass
from pathlib import Path

from trojancam.detection.words import ANSWERS
from trojancam.faults import EVIDENCE, SCAN_CODES
from trojancam.files import as_path
from trojancam.report.documents.sign_off import Passport, read_passport
from trojancam.report.sign_off import subjects_of
from trojancam.showing import Brief
from trojancam.text import as_text


@dataclass(frozen=True)
class Verified(Brief):
    """What holding a model file against a passport came to: `differences` are in words, none where it is the same file."""

    model: Path
    passport: Passport
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether it is the file that the passport is of, with all its data files."""
        return not self.differences

    @property
    def exit_code(self) -> int:
        """1 if it is another file; else what the scan that was signed off ended with: 0, 1 or 3."""
        return SCAN_CODES[self.passport.predicate.verdict] if self.same else EVIDENCE

    def in_words(self) -> list[str]:
        """Lines for people, the answer first."""
        told, name = self.passport.predicate, self.passport.subject[0].name
        answer = "THE SAME FILE" if self.same else "NOT THE SAME FILE"
        lines = [
            f"{answer}: {as_text(self.model)}, held against the passport of {name} of {told.date}",
            *self.differences,
        ]
        if self.same and as_text(self.model.name) != name:
            lines.append(f"its name was {name} then")
        return [
            *lines,
            f"the passport says: {ANSWERS[told.verdict].lower()} (TrojanCAM {told.versions.get('trojancam')})",
        ]


def verify(passport: str | Path, model: str | Path) -> Verified:
    """Hold a model file, and the data files that it takes weights from, against a passport of `trojancam.sign_off`.

    A passport bears no signature of its own: whoever can change it can make it fit. Compare its SHA-256 with the printed page,
    or sign it with a tool for in-toto statements.

    Raises:
        DataError: if the passport cannot be read, or is none.
        ModelError: if the model file cannot be read.
    """
    told, found = read_passport(as_path(passport, "a passport")), subjects_of(as_path(model, "a model file"))
    before = {each.name: each.digest.sha256 for each in told.subject[1:]}
    now = {each.name: each.digest.sha256 for each in found[1:]}
    differences = []
    if found[0].digest != told.subject[0].digest:
        differences.append(
            f"its SHA-256 is {found[0].digest.sha256}, and the passport's {told.subject[0].digest.sha256}"
        )
    for name in dict.fromkeys([*before, *now]):
        if name not in now:
            differences.append(f"it does not take the data file {name!r} any more")
        elif name not in before:
            differences.append(f"it takes the data file {name!r}, which the passport does not know")
        elif before[name] != now[name]:
            differences.append(
                f"the data file {name!r} has the SHA-256 {now[name]}, and in the passport {before[name]}"
            )
    return Verified(Path(model), told, tuple(differences))
