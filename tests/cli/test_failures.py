"""A command that runs out of memory or of space never ends with the exit code of a verdict, and leaves nothing half written.

`TROJANCAM_FAILURES=all` makes every one of the things that are done to files fail, and two hundred allocations.
"""

import os
import re
from pathlib import Path

import pytest
from tests.cli.conftest import CLASSES, write_images
from tests.injection import Run, runs
from tests.warm import Warm

from trojancam.faults import FAULT, MENDABLE

MOST = 700_000  # allocations; the commands make about as many
FILES, ALLOCATIONS = (60, 200) if os.environ.get("TROJANCAM_FAILURES") == "all" else (9, 5)
SIZES = [0, 100, 5000]  # bytes, of the largest file that can be written
FAST = [
    "--methods",
    "neural-cleanse",
    "--set",
    "neural-cleanse.inversion.rounds=2",
    "--set",
    "neural-cleanse.findings=1",
]
OUTCOMES = {"inspect": {0}, "train": {0}, "explain": {0}, "scan": {0, 1, 3}}


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train and test of three classes with few images."""
    root = tmp_path_factory.mktemp("few")
    for part, count in (("train", 3), ("test", 2)):
        for number, name in enumerate(CLASSES):
            write_images(root / part / name, count, 80 * number, seed=number + count)
    return root


@pytest.mark.parametrize("name", OUTCOMES)
def test_no_failure_looks_like_a_verdict(python: Warm, name: str, model: Path, few: Path, tmp_path: Path) -> None:
    commands = {
        "inspect": ["inspect", str(model)],
        "train": ["train", "trojan2", "--data", str(few), "--out", "m.safetensors", "--epochs", "1", "--no-augment"],
        "explain": ["explain", str(model), str(few / "test" / "stop" / "0.png"), "--out", "out"],
        "scan": ["scan", str(model), "--data", str(few), "--images", "6", "--out", "out", *FAST],
    }
    step = MOST // ALLOCATIONS
    kinds = {
        "file": [*range(1, FILES + 1), -1, -5],
        "size": SIZES,
        "allocation": [1, 500, *range(step // 2, MOST, step)],
    }
    whole, *failed = runs(python, commands[name], tmp_path, kinds)
    assert whole.code in OUTCOMES[name], whole.what
    for run in failed:
        if run.code == whole.code and run.kind != "size":  # what failed was not needed, or nothing failed
            assert _lasting(run.said) == _lasting(whole.said), run.what
            assert set(run.files) >= set(whole.files), run.what
        elif run.code >= 0:  # below are signals: other libraries do not look whether they were given memory
            _check_failed(run, whole)
    assert any(run.code == FAULT for run in failed if run.kind == "allocation")
    assert name == "inspect" or any(run.code == MENDABLE for run in failed if run.kind == "file" and run.happened)


def _check_failed(run: Run, whole: Run) -> None:
    assert run.code in (MENDABLE, FAULT) if run.code != whole.code else run.kind == "size", run.what
    assert "Traceback" not in run.said, run.what
    if run.kind == "size":  # what it says may not be written either
        return
    assert len(re.findall(r"^(?:error|fault): ", run.said, re.MULTILINE)) == 1, run.what
    assert (run.code == FAULT) == ("\nfault: " in f"\n{run.said}"), run.what
    for file, size in run.files.items():
        if file in whole.files and file.endswith((".safetensors", ".png")):
            assert size == whole.files[file], run.what


def _lasting(said: str) -> str:
    """What is said without what differs from run to run: how fast it went, how long it took, and where."""
    return re.sub(r"\S*/(none|file|allocation|size)-?\d+/|, \d+ (images/s|s left)|time: \d+ s", "", said)
