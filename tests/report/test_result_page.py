"""The page of any result in one call: the same page and numbers as the command's writers give, or one sentence."""

import json
from pathlib import Path

import pytest
import torch
from tests.detection.planted import TARGET, planted
from tests.nets import unchecked

import trojancam
import trojancam.report.scan_pictures
from trojancam.errors import DataError
from trojancam.report.result_page import write_page

SETTINGS = {"stimulation": {"rounds": 6, "candidates": 2}}


def test_the_page_of_a_scan_shows_its_findings_on_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.scan_pictures, "DPI", 40)
    seen = planted(True)
    report = trojancam.scan(seen.network, seen.images, seen.labels, "stimulation", settings=SETTINGS)
    page = trojancam.write_page(report, tmp_path / "scan", seen.network, seen.images, seen.labels.tolist())
    assert page == tmp_path / "scan" / "scan.html"
    text, numbers = page.read_text(encoding="utf-8"), json.loads((tmp_path / "scan" / "scan.json").read_text())
    assert numbers["verdict"] == report.verdict == "backdoor"
    assert numbers["findings"][0]["target_class"] == TARGET
    assert numbers["options"]["images"] == len(seen.images)
    assert "What it looks like" in text
    with pytest.raises(
        DataError, match=r"the page of a scan shows .*: write_page\(report, out, network, images, labels\)"
    ):
        write_page(report, tmp_path)


def test_explained_compared_and_sifted_images_have_their_pages(tmp_path: Path) -> None:
    seen = planted(False)
    few, network = seen.images[:3], seen.network
    explained = trojancam.explain(network, few)
    compared = trojancam.compare(network, few, ["random"])
    sifted = trojancam.sift(network, few, seen.images, "strip", false_alarms=0.2)
    for name, result in (("explain", explained), ("compare", compared), ("sift", sifted)):
        page = write_page(result, str(tmp_path / name), settings={"data": "three images of a test"})
        assert page == tmp_path / name / "index.html"
        assert (page.parent / "results.json").exists()
        assert "three images of a test" in page.read_text(encoding="utf-8"), name


def test_what_is_no_result_has_no_page(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"a page is written of what scan, .* gave, not of a Tensor; give one of these"),
        unchecked(),
    ):
        write_page(torch.zeros(1), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the folder of a page is named by its path"), unchecked():
        write_page(torch.zeros(1), 3)  # type: ignore[arg-type]
