"""Scans: which images detectors get, what counts as flagged, and that nothing is asked twice."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from trojancam.detection import Finding, ScanReport
from trojancam.detection.abs import Scheme, StimulatedMap
from trojancam.errors import DataError
from trojancam.stimulation import Stimulation
from trojancam_study import detections
from trojancam_study.detections import Flag
from trojancam_study.study import Study

SCHEME = Scheme(8.0, 5)


def test_images_to_measure_on_are_not_those_of_the_scan(study: Study) -> None:
    (given, labels), (others, _) = detections.clean_images(study)
    assert len(given) == len(labels) == study.scale.scanned
    assert len(others) == study.scale.images
    same = (given[:, None] == others[None]).flatten(2).all(2)
    assert not bool(same.any())


def test_a_network_is_scanned_once(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = torch.zeros(2, 3, 3)
    value[0, 1, 1] = 1 / 3
    finding = Finding(
        "stimulation", 10, 4.0, "conv2d_6", (3, 1), stimulation=Stimulation("conv2d_6", (3, 1), value=value)
    )
    asked = []

    def scan(*given: object, **options: object) -> ScanReport:
        asked.append(given)
        return ScanReport("backdoor", 4.0, 3.2, (finding,), {}, {})

    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path))
    monkeypatch.setattr(detections, "scan", scan)
    for _ in range(2):
        report = detections.scanned(study, "trojan2", 0)
        seen = detections.strongest_finding(report)
        assert (report.verdict, seen.feature_maps) == ("backdoor", (3, 1))
        assert seen.stimulation is not None
        assert torch.equal(torch.as_tensor(seen.stimulation.value), value)
    assert len(asked) == 1
    detections.scanned(study, "trojan2", 1)
    assert len(asked) == 2


def test_a_scan_without_findings_has_none_to_show() -> None:
    with pytest.raises(DataError, match="no finding"):
        detections.strongest_finding(ScanReport("nothing found", 0.0, 3.2, (), {}, {}))


def test_flagged_is_the_strongest_of_the_class_that_images_agree_on() -> None:
    rows = [
        StimulatedMap("conv", 0, SCHEME, 10, agreement=0.9, elevation=2.0),
        StimulatedMap("conv", 1, SCHEME, 10, agreement=1.0, elevation=5.0),
        StimulatedMap("conv", 2, SCHEME, 10, agreement=0.5, elevation=9.0),
        StimulatedMap("conv", 3, SCHEME, 4, agreement=1.0, elevation=9.0),
    ]
    assert detections.of_class(rows, 10) == rows[1]
    assert detections.of_class(rows, 11) is None


def test_flags_of_abs_are_kept_and_name_the_target(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asdict(StimulatedMap("", 2, SCHEME, 10, agreement=1.0, elevation=5.0, value=3.5))

    def stimulated(network: object, layer: str, *_: object) -> list[StimulatedMap]:
        target = 10 if layer == "conv2d_7" else 4
        return [StimulatedMap(**row | {"scheme": SCHEME, "layer": layer, "target_class": target})]

    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path))
    monkeypatch.setattr(detections, "stimulated_maps", stimulated)
    expected = Flag("ABS", "conv2d_7", 2, Stimulation("conv2d_7", 2, value=3.5), 5.0)
    assert detections.abs_flags(study, "trojan2", 0) == [expected]
    monkeypatch.setattr(detections, "stimulated_maps", None)
    assert detections.abs_flags(study, "trojan2", 0) == [expected]


def test_flags_of_a_scan_each_hold_their_own_activations() -> None:
    value = torch.arange(18.0).view(2, 3, 3)
    stimulation = Stimulation("conv", (5, 1), value=value, window=(0, 0, 2, 2))
    first, second = detections.scan_flags(Finding("stimulation", 10, 4.0, "conv", (5, 1), stimulation=stimulation))
    assert (first.feature_map, second.feature_map) == (5, 1)
    assert torch.equal(torch.as_tensor(second.stimulation.value), value[1:])
    assert detections.scan_flags(Finding("abs", 10, 4.0)) == []
