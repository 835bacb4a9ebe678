"""Budgets: seconds and shares, what fits in, and what is no budget."""

import pytest
from tests.nets import unchecked

from trojancam.detection.budget import Budget
from trojancam.errors import DataError

COSTS = {"a": 100, "b": 300, "c": 50, "d": None}


@pytest.mark.parametrize(
    ("said", "kept"),
    [("100%", "abc"), ("89%", "ab"), ("40%", "ac"), ("1%", "a"), (5.0, "abc"), ("1.6 s", "ac"), (0.1, "a")],
)
def test_searches_are_kept_in_order_while_they_fit(said: float | str, kept: str) -> None:
    left_out = Budget.of(said).left_out(COSTS, 0.01)
    assert "".join(name for name in COSTS if name not in left_out) == kept
    assert "not known" in left_out["d"]


def test_the_reason_says_how_much_it_would_take() -> None:
    assert Budget.of(2).left_out(COSTS, 0.01)["b"] == "it would take about 3 s more, and the budget is 2 s"


@pytest.mark.parametrize(("said", "seconds"), [("90s", 90), ("10m", 600), ("1.5 h", 5400), ("60", 60), (2, 2)])
def test_a_budget_may_have_a_unit(said: float | str, seconds: float) -> None:
    assert Budget.of(said) == Budget(float(seconds))


@pytest.mark.parametrize("said", ["", "0", "-1", "101%", "0%", "an hour", "10 d", "10min", "1e9%"])
def test_what_is_no_budget_is_refused(said: str) -> None:
    with (
        unchecked(),
        pytest.raises(
            DataError, match="a budget is a number of seconds, such as 60, with a unit, such as 10m, or a share"
        ),
    ):
        Budget.of(said)
