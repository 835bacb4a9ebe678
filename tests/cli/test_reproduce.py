"""`trojancam reproduce`: what it refuses before any work, and one figure of rendered signs from nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from trojancam_study import study
from trojancam_study.published import StudyOf2023


def test_an_unknown_figure_lists_the_known_ones(refused: Callable[..., str]) -> None:
    assert "unknown figure, table or claim of the study 'fig99'" in (words := refused("reproduce", "--only", "fig99"))
    assert "known: fig1, fig2" in words
    assert "there is no figure, table or claim in ','" in refused("reproduce", "--only", ",")


def test_data_without_the_classes_says_which(refused: Callable[..., str], signs: Path) -> None:
    words = refused("reproduce", "--data", signs, "--only", "fig1")
    assert "the study needs the 43 classes of GTSRB" in words
    assert "lacks 'Speed limit (20km/h)', 'Speed limit (30km/h)'" in words
    assert "and 38 more; give GTSRB" in words


def test_a_figure_from_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(StudyOf2023, "rendered", (172, 86))
    monkeypatch.setattr(study, "QUICK", study.Scale(epochs=1, images=8))
    result = run("reproduce", "--quick", "--seeds", "1", "--only", "fig7,fig8", "--out", "out")
    assert result.exit_code == 0
    assert "the page is at" in result.stdout
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(document["pieces"]) == ["fig7", "fig8"]
    assert document["seeds"] == [0]
    assert (tmp_path / "out" / "figures" / "fig8.pdf").is_file()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Figure 8: a Stop sign, all layers" in page
