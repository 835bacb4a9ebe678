"""JUnit XML: checks as tests, so that a pipeline shows a red one.

A finding is a failure. A check without an answer (inconclusive, not judged, refused) is an error, which is red, too: a pipeline
that asks whether a network is sound must not be green without an answer. What a scan did not search for is skipped.
"""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from trojancam.report.machines.outcome import Check, Outcome
from trojancam.text import printable

ELEMENTS = {"failed": "failure", "undecided": "error", "skipped": "skipped"}


def junit(outcomes: Sequence[Outcome]) -> str:
    """One test suite for each model file, one test for each check."""
    root = ElementTree.Element("testsuites", {"name": "trojancam", **_counts(outcomes)})
    for outcome in outcomes:
        name = printable(f"trojancam {outcome.command} {outcome.file}")
        suite = ElementTree.SubElement(root, "testsuite", {"name": name, **_counts([outcome])})
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in (
            ("verdict", outcome.verdict),
            ("sha256", outcome.sha256),
            ("exit code", str(outcome.exit_code)),
        ):
            if value:
                ElementTree.SubElement(properties, "property", name=key, value=printable(value))
        for place, check in enumerate(outcome.checks):
            _case(suite, outcome, check, outcome.seconds * (place == 0))
        if outcome.notes:
            ElementTree.SubElement(suite, "system-out").text = "\n".join(map(printable, outcome.notes))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ElementTree.Element, outcome: Outcome, check: Check, seconds: float) -> None:
    names = {"classname": printable(f"{outcome.command}.{outcome.file}"), "name": printable(check.name)}
    case = ElementTree.SubElement(suite, "testcase", {**names, "time": f"{seconds:.3f}"})
    if check.state != "passed":
        message = printable(check.message)
        found = ElementTree.SubElement(case, ELEMENTS[check.state], message=message, type=check.rule.name)
        if check.state != "skipped":
            lines = [message, *(printable(each.message) for each in check.details), check.rule.advice]
            found.text = "\n".join(dict.fromkeys(lines))


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    checks = [(check, outcome) for outcome in outcomes for check in outcome.checks]
    states = [check.state for check, _ in checks]
    return {
        "tests": str(len(checks)),
        "failures": str(states.count("failed")),
        "errors": str(states.count("undecided")),
        "skipped": str(states.count("skipped")),
        "time": f"{sum({id(outcome): outcome.seconds for _, outcome in checks}.values()):.3f}",
    }
