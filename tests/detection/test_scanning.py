"""Scanning: several detectors, one report; the first decides; and what is refused."""

import time
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.detection.planted import FIND_PATCHES, OF_FEW_CLASSES, TARGET, module, pictures, planted
from tests.nets import unchecked

from trojancam.detection import DETECTORS, Detector, Finding, Job, ScanReport, Settings, concluded, scan, scanning
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import as_detector
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network.network import Network
from trojancam.registry import Registry


@cache
def scanned(*methods: str) -> ScanReport:
    suspect = planted(True)
    settings = {name: each for name, each in OF_FEW_CLASSES.items() if name in methods}
    return scan(suspect.network, suspect.images, suspect.labels, methods, settings=settings)


def test_second_opinions_decide_nothing_beside_others() -> None:
    both = scanned("stimulation", "abs")
    alone = scanned("stimulation")
    assert (both.verdict, both.score, both.threshold) == (alone.verdict, alone.score, alone.threshold)
    assert list(both.opinions) == ["stimulation", "abs"]
    assert both.opinions["abs"].score == scanned("abs").score
    assert [finding.detector for finding in both.findings][: len(alone.findings)] == ["stimulation"] * len(
        alone.findings
    )
    assert {finding.detector for finding in both.findings} == {"stimulation", "abs"}
    assert [search.method for search in both.coverage.searched] == ["stimulation"]
    assert [search.method for search in scanned("abs").coverage.searched] == ["abs"]


@pytest.mark.parametrize("method", DETECTORS)
def test_every_detector_keeps_the_contract(method: str) -> None:
    found = scanned(method)
    assert found.verdict in ("backdoor", "inconclusive", "nothing found")
    assert found.judgement.accuracy is not None
    assert found.judgement.accuracy.value > 0.9
    assert found.score == max((finding.score for finding in found.findings), default=0.0)
    assert (found.verdict == "backdoor") == (found.score >= found.threshold)
    assert [search.method for search in found.coverage.searched] == [method]
    own = bool(DETECTORS[method].families)  # what others bring need not say where it looks
    assert found.coverage.searched[0].where or DETECTORS[method].second_opinion or not own
    assert all(step.startswith(method) for step in found.timing)
    assert found.class_names == planted(True).network.class_names


@pytest.mark.parametrize("method", FIND_PATCHES)
def test_our_detectors_find_what_was_planted(method: str) -> None:
    assert scanned(method).findings[0].target_class == TARGET


@pytest.mark.parametrize("trojaned", [True, False])
def test_a_network_of_dense_layers_alone_is_searched_by_all_usual_methods(trojaned: bool) -> None:
    """The planted network with its convolution written as a dense layer."""
    convolution, _, _, last = module(trojaned)
    dense = torch.nn.Linear(432, 432)
    with torch.no_grad():
        dense.weight.copy_(torch.kron(convolution.weight[:, :, 0, 0], torch.eye(144)))
        dense.bias.copy_(convolution.bias.repeat_interleave(144))
    network = Network.from_module(torch.nn.Sequential(torch.nn.Flatten(), dense, torch.nn.ReLU(), last), (12, 12))
    images, labels = pictures()
    torch.testing.assert_close(network(images), planted(trojaned).network(images))
    report = scan(network, images, labels)
    assert list(network.layers) == ["pixels"]
    assert {search.method for search in report.coverage.searched} == set(scanning.DEFAULT_METHODS)
    assert report.verdict == ("backdoor" if trojaned else "nothing found")
    assert not trojaned or report.findings[0].target_class == TARGET


@pytest.mark.parametrize("trojaned", [True, False])
def test_the_order_of_the_images_changes_nothing(trojaned: bool) -> None:
    suspect = planted(trojaned)
    by_class = suspect.labels.argsort(stable=True)
    orders = [torch.randperm(len(by_class), generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    reports = []
    for order in (by_class, *orders):
        found = scan(
            suspect.network, suspect.images[order], suspect.labels[order], ["stimulation", "additive", "all-to-all"]
        )
        reports.append({name: value for name, value in found.to_json().items() if name != "timing"})
    assert all(report == reports[0] for report in reports)
    assert reports[0]["verdict"] == ("backdoor" if trojaned else "nothing found")


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


def test_settings_reach_the_detector_and_its_report() -> None:
    suspect = planted(True)
    settings = {"stimulation": {"rounds": 3, "candidates": 2}}
    report = scan(suspect.network, suspect.images, suspect.labels, "stimulation", settings=settings)
    assert report.settings["stimulation"]["inversion"]["rounds"] == 3
    assert len(report.findings) == report.settings["stimulation"]["candidates"] == 2
    assert report.findings != scanned("stimulation").findings


def test_steps_of_other_settings_are_not_taken_over(tmp_path: Path) -> None:
    suspect = planted(True)

    def report(journal: Path, **settings: object) -> dict[str, object]:
        found = scan(
            suspect.network,
            suspect.images,
            suspect.labels,
            "stimulation",
            settings={"stimulation": settings},
            journal=journal,
        )
        return {name: value for name, value in found.to_json().items() if name != "timing"}

    alone = report(tmp_path / "alone", rounds=3)
    report(tmp_path / "shared", rounds=2)
    assert report(tmp_path / "shared", rounds=3) == alone


def test_a_detector_of_ones_own_is_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Registry("scan method", "trojancam.none", as_detector, {})
    monkeypatch.setattr(scanning, "DETECTORS", own)
    suspect, usual = planted(True), Settings(backdoor=2.0, inconclusive=1.0)

    @own.register("mine", title="My own", source="here")
    def detect(job: Job, settings: Settings = usual) -> ScanReport:
        return concluded(job, "mine", [Finding("another name", TARGET, 1.5)], settings)

    @own.register("bare")
    def bare(job: Job) -> ScanReport:
        return ScanReport("nothing found", 0.0, 1.0, (), {}, {})

    assert (own["mine"].title, own["mine"].source, own["bare"].title) == ("My own", "here", "bare")
    report = scan(
        suspect.network, suspect.images, suspect.labels, ["mine", "bare"], settings={"mine": {"inconclusive": 1.6}}
    )
    assert report.verdict == "nothing found"
    assert report.settings["mine"] == {"backdoor": 2.0, "inconclusive": 1.6, "seed": 0}
    assert report.findings[0].detector == "mine"  # whatever it calls itself
    assert list(report.opinions) == ["mine", "bare"]
    with pytest.raises(UnknownNameError, match="unknown setting of bare 'x'; known: none"):
        scan(suspect.network, suspect.images, methods=["bare"], settings={"bare": {"x": 1}})


@pytest.mark.parametrize("given", [3, lambda: None, lambda job, settings: None, lambda job, settings=3: None])
def test_what_is_no_detector_is_refused(given: object) -> None:
    with unchecked(), pytest.raises(TrojanCamError, match="the detector 'odd' must be a Detector, a function"):
        as_detector("odd", given)  # type: ignore[arg-type]


def test_a_detector_that_returns_no_report_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Registry("scan method", "trojancam.none", as_detector, {"odd": Detector("Odd", "", lambda job, _: None)})  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(scanning, "DETECTORS", odd)
    with unchecked(), pytest.raises(TrojanCamError, match="'odd' must return a ScanReport, but returned NoneType"):
        scan(planted(True).network, planted(True).images, methods=["odd"])


def test_what_cannot_be_scanned_is_refused() -> None:
    suspect = planted(True)
    with unchecked():
        with pytest.raises(UnknownNameError, match="unknown method of this scan 'abs'; known: stimulation, additive"):
            scan(suspect.network, suspect.images, settings={"abs": {"rounds": 3}})
        with pytest.raises(UnknownNameError, match="did you mean 'stimulation'"):
            scan(suspect.network, suspect.images, methods=["stimulations"])
        with pytest.raises(DataError, match="at least one method"):
            scan(suspect.network, suspect.images, methods=[])
        with pytest.raises(DataError, match="pixels"):
            scan(suspect.network, torch.rand(8, 3, 9, 9))


def test_a_scan_ends_with_its_budget_and_says_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(job: Job, settings: Settings) -> ScanReport:
        return concluded(job, "quick", [Finding("quick", TARGET, 0.1)], settings)

    def slow(job: Job, settings: Settings) -> ScanReport:
        for step in range(1000):  # ten seconds
            time.sleep(0.01)
            job.progress(step, 1000)
        raise AssertionError("the budget did not end it")

    usual = Settings(backdoor=2.0, inconclusive=1.0)
    both = {name: Detector(name, "", of, usual, cost=lambda *_: 0) for name, of in (("quick", quick), ("slow", slow))}
    both["late"] = both["quick"]
    monkeypatch.setattr(scanning, "DETECTORS", Registry("scan method", "trojancam.none", as_detector, both))
    suspect = planted(True)
    began = time.monotonic()
    found = scan(suspect.network, suspect.images, suspect.labels, list(both), budget="0.5s")
    assert 0.5 <= time.monotonic() - began < 5
    assert list(found.opinions) == ["quick"]
    spent = "the budget was spent before the search ended; give a longer one"
    assert {each.why for each in found.coverage.not_searched} >= {spent}
    with unchecked(), pytest.raises(CannotSearchError, match=spent):
        scan(suspect.network, suspect.images, suspect.labels, "slow", budget="0.1s")


def test_a_second_opinion_alone_does_not_take_the_place_of_what_the_budget_left_out() -> None:
    suspect = planted(True)
    found = scan(suspect.network, suspect.images, suspect.labels, ["freeeagle", "warp"], budget="1%")
    assert list(found.opinions) == ["warp"]  # the cheapest that decides
    assert found.opinions["warp"].decides
    with unchecked(), pytest.raises(CannotSearchError, match="the budget was spent"):
        scan(suspect.network, suspect.images, suspect.labels, ["freeeagle", "warp"], budget="0.001s")


def test_the_time_expected_is_no_longer_than_the_budget() -> None:
    suspect = planted(True)
    whole = scanning.expected_seconds(suspect.network, suspect.images, suspect.labels)
    part = scanning.expected_seconds(suspect.network, suspect.images, suspect.labels, budget="20%")
    assert 0 < part < whole
    assert scanning.expected_seconds(suspect.network, suspect.images, suspect.labels, budget=0.001) == 0.001
