"""Scanning: several detectors, one report; the first decides; and what is refused."""

from functools import cache
from pathlib import Path

import pytest
import torch
from tests.detection.planted import TARGET, planted
from tests.nets import unchecked

from trojancam.detection import DETECTORS, scan
from trojancam.detection.findings import ScanReport
from trojancam.errors import DataError, ModelError, UnknownNameError


@cache
def scanned(*methods: str) -> ScanReport:
    suspect = planted(True)
    return scan(suspect.network, suspect.images, suspect.labels, methods)


def test_the_first_method_decides_and_the_others_are_second_opinions() -> None:
    both = scanned("stimulation", "abs")
    alone = scanned("stimulation")
    assert (both.verdict, both.score, both.threshold) == (alone.verdict, alone.score, alone.threshold)
    assert list(both.opinions) == ["stimulation", "abs"]
    assert both.opinions["abs"].score == scanned("abs").score
    assert [finding.detector for finding in both.findings][: len(alone.findings)] == ["stimulation"] * len(
        alone.findings
    )
    assert {finding.detector for finding in both.findings} == {"stimulation", "abs"}


@pytest.mark.parametrize("method", DETECTORS)
def test_every_detector_keeps_the_contract(method: str) -> None:
    found = scanned(method)
    assert found.verdict in ("backdoor", "inconclusive", "nothing found")
    assert found.findings[0].target_class == TARGET
    assert found.findings[0].score == found.score
    assert (found.verdict == "backdoor") == (found.score >= found.threshold)
    assert found.confidence in ("high", "moderate", "low")
    assert all(step.startswith(method) for step in found.timing)
    assert found.class_names == planted(True).network.class_names


def test_one_journal_serves_all_methods(tmp_path: Path) -> None:
    suspect = planted(True)
    scan(suspect.network, suspect.images, suspect.labels, ["stimulation", "abs"], journal=tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    again = scan(suspect.network, suspect.images, suspect.labels, ["stimulation", "abs"], journal=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    first = scanned("stimulation", "abs")
    assert {name: value for name, value in first.to_json().items() if name != "timing"} == {
        name: value for name, value in again.to_json().items() if name != "timing"
    }


def test_what_cannot_be_scanned_is_refused() -> None:
    suspect = planted(True)
    with unchecked():
        with pytest.raises(UnknownNameError, match="did you mean 'stimulation'"):
            scan(suspect.network, suspect.images, methods=["stimulations"])
        with pytest.raises(DataError, match="at least one method"):
            scan(suspect.network, suspect.images, methods=[])
        with pytest.raises(ModelError, match="pixels"):
            scan(suspect.network, torch.rand(8, 3, 9, 9))
