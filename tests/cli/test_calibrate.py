"""`trojancam calibrate`: a file that `scan --reference` takes, gone on with, and what is refused before hours of work."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from trojancam.detection.references import read_reference

Run = Callable[..., Result]
Refused = Callable[..., str]
FAST = ("--methods", "additive", "--set", "additive.screen.steps=1", "--set", "additive.detail.steps=1")


def test_a_reference_is_made_gone_on_with_and_used(run: Run, model: Path, signs: Path) -> None:
    given = ("--data", signs, "--images", "8", *FAST)
    for _ in range(2):
        made = run("calibrate", model, *given, "--out", "mine.json")
        assert made.exit_code == 0, made.output
    found = read_reference(Path("mine.json"))
    poor = "is left out" in made.stderr
    assert len(found.networks) == (0 if poor else 1)
    scanned = run("scan", model, *given, "--reference", "mine.json", "--out", "out")
    document = json.loads(Path("out/scan.json").read_text())
    assert scanned.exit_code in (0, 1, 3)
    assert document["judgement"]["references"] == 0  # a network is never held against itself


def test_what_cannot_be_calibrated_with_is_refused(
    run: Run, refused: Refused, model: Path, signs: Path, tmp_path: Path
) -> None:
    assert "nothing.pt2" in refused("calibrate", model, tmp_path / "nothing.pt2", "--data", signs)
    Path("old.json").write_text("{")
    assert "holds no reference networks" in refused("calibrate", model, "--data", signs, "--out", "old.json")
    assert "holds no reference networks" in refused("scan", model, "--data", signs, "--reference", "old.json")
    assert "a budget is a number of seconds" in refused("scan", model, "--data", signs, "--budget", "soon")
    assert "unknown family 'patches'" in refused("scan", model, "--data", signs, "--families", "patches")
