"""How commands end: exit code 2 where the user can fix it, 4 where nobody foresaw it, and never that of a verdict."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from trojancam.cli import app
from trojancam.errors import ModelError
from trojancam.faults import FAULT, INTERRUPTED, MENDABLE, in_words, report
from trojancam.tasks import inspect as tasks_inspect


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `inspect` fail so."""

    def inspected(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("trojancam.tasks.inspect.inspected", inspected)


class PanicException(BaseException):
    """As libraries written in Rust raise it: no `Exception`, so that `except Exception` lets it through."""


def from_memory(outer: Exception) -> Exception:
    """An exception that was made while another, of memory, was handled."""
    outer.__context__ = MemoryError()
    return outer


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("odd"), FAULT, "a fault of its own (ValueError: odd)"),
        (MemoryError(), FAULT, "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), FAULT, "not enough memory"),
        (from_memory(ModelError("cannot be exported")), FAULT, "not enough memory"),
        (ModelError("the file is damaged"), MENDABLE, "error: the file is damaged"),
        (OSError(28, "No space left on device"), MENDABLE, "error: No space left"),
        (SystemExit(1), FAULT, "code that it ran exited with 1"),
        (SystemExit(0), FAULT, "code that it ran exited with 0"),
        (PanicException("a pointer is null"), FAULT, "a fault of its own (PanicException: a pointer is null)"),
        (
            BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError()]),
            FAULT,
            "a fault of its own (BaseExceptionGroup",
        ),
        (GeneratorExit(), FAULT, "a fault of its own (GeneratorExit"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
    ],
)
def test_every_failure_has_its_code_and_one_sentence(
    error: BaseException, code: int, words: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, error)
    result = CliRunner().invoke(app, ["inspect", str(model)])
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["--debug", "inspect"], ["inspect", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    words: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, ValueError("odd"))
    result = CliRunner().invoke(app, [*words, str(model)])
    assert result.exit_code == FAULT
    assert "Traceback" in result.stderr


def test_the_traceback_is_kept_with_what_a_report_needs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(monkeypatch, ValueError("odd"))
    result = CliRunner().invoke(app, ["inspect", str(model)])
    kept = Path(result.stderr.rsplit("is in ", 1)[1].strip())
    told = kept.read_text(encoding="utf-8")
    assert "ValueError: odd" in told
    assert "torch 2" in told
    assert str(os.environ["TROJANCAM_CACHE"]) in str(kept)


def test_an_error_that_cannot_say_what_it_is_still_ends_in_a_sentence() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "(MuteError)" in in_words(MuteError(), None)
    assert "MuteError" in report(MuteError())


def test_an_architecture_that_exits_is_refused_in_a_sentence(model: Path, tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    done = subprocess.run(
        [sys.executable, "-m", "trojancam", "inspect", str(model), "--architecture", "leaving:net"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == MENDABLE, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["--help", "methods"])
def test_output_that_does_not_arrive_is_an_error(words: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        one = subprocess.run([sys.executable, "-m", "trojancam", words], stdout=full, check=False, stderr=-1)
        both = subprocess.run([sys.executable, "-m", "trojancam", words], stdout=full, stderr=full, check=False)
    assert one.returncode == MENDABLE
    assert b"No space left" in one.stderr
    assert both.returncode in (MENDABLE, FAULT)


@pytest.mark.parametrize("words", ["--help", "methods"])
def test_output_that_nobody_reads_is_no_verdict(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "trojancam", words], stdout=writing, stderr=-1, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (MENDABLE, b"")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("error", "code"), [(MemoryError(), FAULT), (ValueError("odd"), 0)])
def test_memory_that_lacked_where_nothing_can_be_raised_is_a_failure(
    error: Exception, code: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lacking:
        def __del__(self) -> None:
            raise error

    real = tasks_inspect.inspected

    def inspected(*given: Any, **named: Any) -> Any:
        Lacking()
        return real(*given, **named)

    monkeypatch.setattr(tasks_inspect, "inspected", inspected)
    result = CliRunner().invoke(app, ["inspect", str(model)])
    assert result.exit_code == code
    assert ("not enough memory" in result.stderr) == (code == FAULT)
