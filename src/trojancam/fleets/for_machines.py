"""A fleet for machines: each row as an outcome of one check, from which every format is written."""

from trojancam.fleets.result import Result, exit_code
from trojancam.fleets.table import Row
from trojancam.report.machines import rules
from trojancam.report.machines.outcome import Check, Outcome, State
from trojancam.text import as_text

RULES: dict[str, tuple[rules.Rule, State]] = {
    "backdoor": (rules.BACKDOOR, "failed"),
    "inconclusive": (rules.INCONCLUSIVE, "undecided"),
    "not repaired": (rules.BACKDOOR, "undecided"),
}


def of_row(row: Row) -> Outcome:
    """What a fleet says of one model; one that was refused, or broke its process, is a check without an answer.

    >>> of_row(Row(0, "net.pt", "/nets/net.pt", None, None, Result("deadline", note="it takes longer than 900 s"))).state
    'undecided'
    """
    found = row.result or Result("killed", note="it was not worked on yet")
    rule, state = RULES.get(found.verdict, (rules.BACKDOOR, "passed"))
    if found.verdict == "not judged":
        rule, state = (rules.NOT_JUDGED if found.state == "done" else rules.REFUSED), "undecided"
    named = found.class_name if found.target_class is None else f"class {found.target_class}, {found.class_name}"
    score = "" if found.score is None else f"score {found.score:.3g} of its threshold"
    words = ", ".join(filter(None, (named, found.place, score))) if state == "failed" else found.note
    verdict = found.verdict.capitalize() if found.state == "done" else "Refused"
    return Outcome(
        "fleet",
        as_text(row.file),
        verdict,
        (Check("verdict", rule, state, words or found.verdict),),
        row.plain(),
        row.sha256,
        seconds=found.seconds or 0.0,
        exit_code=exit_code([found]),
    )
