"""Budgets: seconds and shares, what fits in, and what is no budget."""

import math
import time

import pytest
from tests.nets import unchecked

from trojancam.detection.budget import Budget, about, until
from trojancam.detection.coverage import CannotSearchError
from trojancam.errors import DataError

COSTS = {"a": 100, "b": 300, "c": 50, "d": None}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("100%", "abc"),
        ("89%", "ab"),
        ("40%", "ac"),
        ("1%", "c"),
        (5.0, "abc"),
        ("1.6 s", "ac"),
        (0.1, "c"),
        ("30%", "a"),
        (0.7, "c"),
    ],
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


def test_work_ends_at_a_time() -> None:
    told: list[tuple[int, int, str]] = []

    def listen(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total, note))

    until(math.inf, listen)(1, 3, "far")
    with pytest.raises(CannotSearchError, match="the budget was spent before the search ended; give a longer one"):
        until(time.monotonic() - 1, listen)(1, 3, "late")
    until(time.monotonic() - 1, listen)(3, 3, "done all the same")
    assert told == [(1, 3, "far"), (3, 3, "done all the same")]


def test_seconds_end_and_shares_do_not() -> None:
    assert Budget.of("2m").ends(5.0) == 125
    assert Budget.of("50%").ends(5.0) == math.inf


@pytest.mark.parametrize(("seconds", "words"), [(7.9, "about 8 s"), (0.01, "about 1 s"), (89.0, "about 89 s"),
    (90.0, "about 2 min"), (7100.0, "about 118 min"), (9000.0, "about 2.5 h")])  # fmt: skip
def test_rough_times_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == words
