"""Every hostile file is refused in one sentence, in time and in memory, and nothing in any of them runs."""

import os
from collections import Counter
from pathlib import Path

import pytest
from tests.formats.hostile_cases import CASES, MEGABYTES, OPENED, REFUSED, SECONDS, Outcome
from tests.formats.security_page import MEASURED, PAGE, page

from trojancam.errors import ModelError
from trojancam.formats.archives import archive
from trojancam.formats.code_inside import would_run
from trojancam.formats.onnx.reader import read_onnx
from trojancam.formats.weights.reader import read_state_dict, read_tensors, read_weights

BOUNDED = 400  # characters beside the file's path


@pytest.mark.parametrize("key", [key for key, case in CASES.items() if case.expected == REFUSED])
def test_it_is_refused_in_one_sentence(hostile: dict[str, Outcome], key: str) -> None:
    outcome = hostile[key]
    assert outcome.outcome == REFUSED, outcome.said
    assert outcome.path in outcome.said, "it names the file"
    assert outcome.said.replace(outcome.path, "").isprintable()
    assert len(outcome.said) - len(outcome.path) < BOUNDED
    assert not outcome.ran
    assert outcome.seconds < SECONDS


@pytest.mark.parametrize("key", [key for key, case in CASES.items() if case.expected == OPENED])
def test_what_is_hidden_in_it_does_not_run(hostile: dict[str, Outcome], key: str) -> None:
    assert hostile[key].outcome == OPENED, hostile[key].said
    assert not hostile[key].ran
    assert hostile[key].seconds < SECONDS


def test_no_file_takes_more_than_a_gigabyte(hostile: dict[str, Outcome]) -> None:
    first = next((outcome for outcome in hostile.values() if outcome.megabytes >= MEGABYTES), None)
    assert first is None, f"{first.key}: {first.megabytes} MB"


def test_the_page_lists_these_files_and_these_answers(hostile: dict[str, Outcome]) -> None:
    """`python -m tests.formats.security_page` writes it anew."""
    written = PAGE.read_text(encoding="utf-8")
    slowest, largest = MEASURED.search(" ".join(written.split())).groups()  # type: ignore[union-attr]
    assert float(slowest) < SECONDS
    assert int(largest) < MEGABYTES
    assert written == page(hostile, slowest, largest)


def test_no_two_files_are_called_the_same() -> None:
    shown = Counter((case.format, case.name) for case in CASES.values())
    assert max(shown.values()) == 1
    assert len(CASES) > 350


@pytest.mark.parametrize("read", [would_run, read_weights, read_state_dict, read_tensors, read_onnx])
def test_readers_do_not_wait_for_what_never_ends(tmp_path: Path, read: object) -> None:
    """Also where nobody has looked at the path before."""
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (tmp_path / "pipe.pt", Path("/dev/zero")):
        with pytest.raises(ModelError, match="there is no model file"):
            read(path)  # type: ignore[operator]
        with pytest.raises(ModelError, match="there is no model file"), archive(path):
            pass
