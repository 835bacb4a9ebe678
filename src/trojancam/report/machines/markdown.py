"""Markdown: an outcome as the summary of a pipeline's step or a comment on a change shows it."""

import re
from collections.abc import Sequence

from trojancam.report.machines.outcome import Check, Outcome
from trojancam.text import printable

MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~@:&-])")
ROWS = 50  # findings, at most, in a table
STATES = {"passed": "passed", "failed": "**found**", "undecided": "**no answer**", "skipped": "not done"}


def plain(words: str) -> str:
    r"""Words that Markdown shows as they are: what a file says must not become a link, a picture or a mention.

    >>> print(plain("![x](http://y) @me | <b>"))
    \!\[x\]\(http\://y\) \@me \| \<b\>
    """
    return MARKUP.sub(r"\\\1", printable(words))


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A heading and the verdict for each model file, what was found or not answered, and what the verdict is weighed by."""
    return "\n".join(_outcome(each) for each in outcomes)


def _outcome(outcome: Outcome) -> str:
    parts = [f"## trojancam {outcome.command}: {plain(outcome.file)}", f"**{plain(outcome.verdict)}**"]
    told = [check for check in outcome.checks if check.state in ("failed", "undecided")]
    rows = [row for check in told for row in _rows(check)]
    if rows:
        from trojancam.report.page import Table  # large, and a missing file must be refused at once

        parts.append(Table(["Check", "", "What", "Rule"], rows[:ROWS]).markdown())
        parts += [f"And {len(rows) - ROWS} more."] * (len(rows) > ROWS)
        parts += [f"- {plain(rule.advice)}" for rule in dict.fromkeys(check.rule for check in told)]
    parts += [plain(note) for note in outcome.notes]
    skipped = [check for check in outcome.checks if check.state == "skipped"]
    if skipped:
        parts.append(f"Not done: {', '.join(plain(f'{check.name} ({check.message})') for check in skipped)}.")
    if outcome.sha256:
        parts.append(f"SHA-256 of the model file: `{outcome.sha256}`")
    return "\n\n".join(parts) + "\n"


def _rows(check: Check) -> list[list[str]]:
    messages = [each.message for each in check.details] or [check.message]
    return [[plain(check.name), STATES[check.state], plain(each), check.rule.number] for each in messages]
