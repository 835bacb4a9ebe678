"""Faults: what lacked memory where nothing can be raised is told at the end, by every process that gives results."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from trojancam.explore import scan_process
from trojancam.faults import FAULT, memory_missed


def fails_unheard(error: Exception) -> None:
    """An exception where none can be raised: as an object is deleted, or in a function that a library calls back."""

    class Failing:
        def __del__(self) -> None:
            raise error

    Failing()


def test_what_lacked_memory_unheard_is_raised_at_the_end() -> None:
    done = []

    def work() -> None:
        with memory_missed():
            fails_unheard(MemoryError("no room"))
            done.append("the rest")

    with pytest.raises(MemoryError, match="no room"):
        work()
    assert done == ["the rest"]


def test_all_else_is_left_to_whoever_heard_it_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def heard(what: Any) -> None:
        told.append(type(what.exc_value))

    monkeypatch.setattr(sys, "unraisablehook", heard)
    with memory_missed():
        fails_unheard(ValueError("odd"))
    assert told == [ValueError]
    assert sys.unraisablehook is heard


@pytest.mark.parametrize("error", [MemoryError("no room"), SystemExit(0), BaseException("a panic")])
def test_no_failure_of_a_scan_of_the_explorer_looks_like_a_result(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scan(*_: object) -> None:
        if isinstance(error, MemoryError):
            fails_unheard(error)
        else:
            raise error

    monkeypatch.setattr(scan_process, "_end_with_input", lambda: None)
    monkeypatch.setattr(scan_process.os, "nice", lambda _: 0)
    monkeypatch.setattr(scan_process.torch, "set_num_threads", lambda _: None)
    assert scan_process.main(tmp_path, scan) == FAULT
    assert str(error) in json.loads(capsys.readouterr().out)["error"]
