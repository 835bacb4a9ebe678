"""`trojancam sign-off` and `trojancam verify`: from a scan to a passport, and back to the file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.test_scan import options, stub

import trojancam.detection


@pytest.mark.parametrize(("verdict", "code"), [("nothing found", 0), ("backdoor", 1), ("not judged", 3)])
def test_from_a_scan_to_a_passport_and_back(
    run: Run, model: Path, signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, code: int
) -> None:
    monkeypatch.setattr(trojancam.detection, "scan", stub(verdict))
    run(*options(model, signs))
    done = run("sign-off", model, "--scan", "out")
    assert done.exit_code == 0
    assert sorted(each.name for each in (tmp_path / "trojancam-passport").iterdir()) == [
        "passport.html",
        "passport.json",
    ]
    passport = tmp_path / "trojancam-passport" / "passport.json"
    told = run("verify", passport, model)
    assert told.exit_code == code
    assert told.stdout.startswith("THE SAME FILE: ")
    changed = tmp_path / model.name
    changed.write_bytes(model.read_bytes()[:-1] + b"\x01")
    told = run("verify", passport, changed)
    assert told.exit_code == 1
    assert told.stdout.startswith("NOT THE SAME FILE: ")


def test_what_is_missing_is_told(refused: Callable[..., str], model: Path, tmp_path: Path) -> None:
    assert "make one with 'trojancam scan'" in refused("sign-off", model)
    assert "give PASSPORT a file that is there" in refused("verify", tmp_path / "nowhere.json", model)
    assert "check the path" in refused("verify", model, tmp_path / "nowhere.onnx")
    assert "is not what 'trojancam sign-off' writes" in refused("verify", model, model)
