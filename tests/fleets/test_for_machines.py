"""Rows for machines: no row without a verdict is a pass, and a pass is none of them."""

import pytest

from trojancam.fleets.for_machines import of_row
from trojancam.fleets.result import DOUBT, Result
from trojancam.fleets.table import Row


def row(result: Result | None) -> Row:
    return Row(0, "net.pt", "/net.pt", "ab", "unit", result)


@pytest.mark.parametrize(
    "verdict", ["backdoor", "inconclusive", "not judged", "not repaired", "nothing found", "opened"]
)
def test_the_state_is_that_of_the_verdict(verdict: str) -> None:
    found = of_row(row(Result("done", verdict, note="so it is")))
    expected = "failed" if verdict == "backdoor" else "undecided" if verdict in DOUBT else "passed"
    assert found.state == expected
    assert found.exit_code == {"failed": 1, "undecided": 3, "passed": 0}[expected]
    assert found.checks[0].message
    assert found.document["verdict"] == verdict


def test_what_was_refused_or_not_done_is_no_pass() -> None:
    for result in (Result("refused", note="hostile"), Result("deadline", note="late"), Result("fault"), None):
        found = of_row(row(result))
        assert found.state == "undecided"
        assert found.verdict == "Refused"
        assert found.checks[0].message
