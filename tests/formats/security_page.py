"""docs/security.md: the hostile files of the tests, and what comes of each. Run as a program, this writes the page."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.formats.hostile_cases import (
    CASES,
    LEFT_ALONE,
    MEGABYTES,
    REPOSITORY,
    SECONDS,
    Case,
    Outcome,
    outcomes,
)

PAGE = REPOSITORY / "docs" / "security.md"
OPENING = """\
# Hostile files, and what happens with each

Made by `python -m tests.formats.security_page` from the {count} files that the tests generate. The tests check that this
page lists these files and these answers. [SECURITY.md](../SECURITY.md) says what is promised, and what is not.

Every file is opened as `trojancam inspect` opens it. It is searched for what it would run. Then its network is built and
answers images, as far as that goes. **Nothing in any file runs.** Each would write a canary, and none did. **Each is refused
in one sentence, within {seconds} seconds of computing and {megabytes} MB** of memory for the whole process with Python's
libraries. When this page was made the slowest file took {slowest} s, and one process that opened half of them at most
{largest} MB. Only the SHA-256 that `inspect` prints takes as long as the file is large.

One row is one idea, and its files are variants of it. The sentence is the answer to the first of them. FILE stands for its
path, and (...) for words of a library or long lists.
"""
HIDDEN = """
These files are opened, because their network is whole. What is hidden in them lies where no reader looks, or becomes a
harmless name. It does not run. Names of layers and classes are printed with control characters escaped.
"""
MEASURED = re.compile(r"the slowest file took (\S+) s, and one process that opened half of them at most (\d+) MB")


def page(found: Mapping[str, Outcome], slowest: str, largest: str) -> str:
    """The page, of what came of every case, and the most that was measured."""
    head = OPENING.format(count=len(CASES), seconds=SECONDS, megabytes=MEGABYTES, slowest=slowest, largest=largest)
    return head + "".join(_section(form, list(cases), found) for form, cases in groupby(CASES.values(), _format))


def measured(found: Iterable[Outcome]) -> tuple[str, str]:
    """The most seconds, and the most megabytes."""
    each = list(found)
    return f"{max(outcome.seconds for outcome in each):.1f}", str(max(outcome.megabytes for outcome in each))


def sentence(outcome: Outcome) -> str:
    """What was said, without what differs between machines and versions of libraries."""
    said = outcome.said.replace(outcome.path, "FILE").replace(str(Path(outcome.path).parent), "FOLDER")
    packed = re.sub(r"holds \d+ bytes", "holds few bytes", said)  # how few, zlib's version decides
    return re.sub(r"\(.{40,}\)|cannot be run: [^;]*", "(...)", packed)


def _format(case: Case) -> str:
    return case.format


def _section(form: str, cases: list[Case], found: Mapping[str, Outcome]) -> str:
    heading = f"\n## {form}: {len(cases)} files\n{HIDDEN if form == LEFT_ALONE else ''}\n"
    said = "Outcome" if form == LEFT_ALONE else "Refused with"
    return heading + f"| What is hostile | Files | {said} |\n|---|---|---|\n" + "".join(_rows(cases, found))


def _rows(cases: list[Case], found: Mapping[str, Outcome]) -> Iterator[str]:
    for idea, group in groupby(cases, lambda case: case.idea):
        files = list(group)
        names = "; ".join(case.name for case in files)
        said = sentence(found[files[0].key]) or "opened; nothing in it runs"
        yield f"| {_cell(idea)} | {len(files)}: {_cell(names)} | {_cell(said)} |\n"


def _cell(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", shown)


def main() -> int:
    """Open all files, and write the page."""
    with TemporaryDirectory() as folder:
        found = outcomes(Path(folder))
    PAGE.write_text(page(found, *measured(found.values())), encoding="utf-8")
    print(f"{len(found)} files; the slowest took {measured(found.values())[0]} s; {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
