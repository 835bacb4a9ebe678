"""SECURITY.md promises nothing without a test, and every test that it names is there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
PROMISED = TEXT.partition("## What is promised")[2].partition("The files that the tests try")[0]
PROMISES = re.split(r"^- ", PROMISED, flags=re.MULTILINE)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize(
    "promise", PROMISES, ids=lambda promise: promise.partition(":")[0].partition(".")[0].strip("* ")
)
def test_a_promise_names_its_tests(promise: str) -> None:
    assert NAMED.search(promise)


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(TEXT))))
def test_a_named_test_is_there(file: str, name: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(" if name else r"^def test_|^def main", text, re.MULTILINE)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 7
