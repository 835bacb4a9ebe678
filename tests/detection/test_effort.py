"""Effort: small images are searched as they ever were, large ones coarsely; a coarse scan finds, says so, costs what it tells."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.detection.planted import TARGET, module, pictures
from torch import nn

from trojancam.detection import DEFAULT_METHODS, DETECTORS, ScanReport, scan, scanning
from trojancam.detection.effort import ASKED, COARSE, LARGEST, cells_of, effort_for, scale_of
from trojancam.detection.scanning import known_settings
from trojancam.detection.suspect import suspect
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.cut import Cut
from trojancam.network.network import Network

LARGER = 6  # times the planted network's images
SIZE = 12 * LARGER


class StoppedError(Exception):
    """What a killed scan is here."""


@cache
def large(trojaned: bool) -> Network:
    """The planted network, which sees one pixel of each square: it takes large images."""
    return Network.from_module(nn.Sequential(nn.AvgPool2d(1, LARGER), module(trojaned)), (SIZE, SIZE))


@cache
def images() -> tuple[torch.Tensor, torch.Tensor]:
    small, labels = pictures()
    return nn.functional.interpolate(small, scale_factor=LARGER), labels


@cache
def scanned() -> ScanReport:
    return scan(large(True), *images())


def without_times(report: ScanReport) -> dict[str, Any]:
    return {name: value for name, value in report.to_json().items() if name != "timing"}


def test_the_longer_side_decides() -> None:
    assert effort_for((LARGEST, LARGEST)) == "thorough"
    assert effort_for((LARGEST, LARGEST + 1)) == effort_for((LARGEST + 1, 8)) == "coarse"
    assert (scale_of((64, 64)), cells_of((64, 24), 32)) == (2.0, (32, 24))


def test_small_images_are_searched_with_the_settings_that_were_measured() -> None:
    usual = {name: DETECTORS[name].settings for name in DETECTORS}
    assert known_settings(DETECTORS, {}, (LARGEST, LARGEST)) == usual
    assert not any(each.coarse for each in usual.values() if each is not None)


def test_large_images_are_searched_coarsely_by_every_usual_method() -> None:
    chosen = known_settings(DEFAULT_METHODS, {}, (224, 224))
    assert all(each is not None and each.coarse for each in chosen.values())
    assert chosen == {name: DETECTORS[name].coarse for name in DEFAULT_METHODS}


def test_whoever_wants_another_effort_sets_it() -> None:
    thorough = known_settings(["additive"], {"additive": {"effort": "thorough", "keep": 9}}, (224, 224))["additive"]
    coarse = known_settings(["additive"], {"additive": {"effort": "coarse"}}, (32, 32))["additive"]
    assert thorough == scanning.changed(DETECTORS["additive"].settings, {"keep": 9}, "additive")  # type: ignore[type-var]
    assert coarse == DETECTORS["additive"].coarse


def test_settings_of_either_effort_pass_before_the_images_are_known() -> None:
    for values in ({"screen.steps": 3}, {"ranked_on": 3}):
        assert known_settings(["additive"], {"additive": values})["additive"] is not None
    with pytest.raises(UnknownNameError, match="ranked_on"):
        known_settings(["additive"], {"additive": {"ranked_on": 3}}, (32, 32))
    with pytest.raises(UnknownNameError, match="rankd_on"):
        known_settings(["additive"], {"additive": {"rankd_on": 3}})
    with pytest.raises(DataError, match=r"additive.effort cannot be 'much': it is thorough or coarse"):
        known_settings(["additive"], {"additive": {"effort": "much"}})


def test_a_coarse_scan_finds_what_was_planted_and_says_how_it_searched() -> None:
    found = scanned()
    assert (found.verdict, found.findings[0].target_class) == ("backdoor", TARGET)
    assert found.opinions["stimulation"].verdict == "backdoor"
    assert next(each for each in found.findings if each.detector == "stimulation").target_class == TARGET
    assert COARSE in found.remarks
    assert all(search.where.startswith("coarsely: ") for search in found.coverage.searched)
    assert found.judgement.p is None  # no reference network was searched like that
    assert found.coverage.track_record is None


def test_the_clean_twin_is_left_alone() -> None:
    clean = scan(large(False), *images(), "stimulation")
    assert clean.verdict == "nothing found"
    assert clean.score < scanned().opinions["stimulation"].score / 10


def test_a_small_image_may_be_searched_coarsely_and_the_report_says_so() -> None:
    network = Network.from_module(module(True), (12, 12))
    found = scan(network, *pictures(), "stripes", settings={"stripes": {"effort": "coarse"}})
    assert ASKED in found.remarks
    assert COARSE not in found.remarks


@pytest.mark.parametrize("method", DEFAULT_METHODS)
def test_what_a_coarse_search_costs_is_told_before(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = suspect(large(True), *images())
    settings = known_settings([method], {}, (SIZE, SIZE))[method]
    cost = DETECTORS[method].cost
    assert cost is not None
    told, ran = cost(seen, settings), _counted(monkeypatch)
    scan(large(True), *images(), method)
    beside = 3 * len(seen.images)  # the accuracy, and which images are named what
    assert told * 0.75 <= ran() <= told * 1.25 + beside


def _counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images went through networks since: one forth and back counts three."""
    count = 0

    def counting(run: Callable[..., Any], of: Callable[..., torch.Tensor]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            nonlocal count
            rows = of(*given)
            count += len(rows) * (3 if torch.is_grad_enabled() and rows.requires_grad else 1)
            return run(*given, **named)

        return counted

    monkeypatch.setattr(Network, "__call__", counting(Network.__call__, lambda _, rows: rows))
    monkeypatch.setattr(Network, "forward_with", counting(Network.forward_with, lambda _, rows, *__: rows))
    monkeypatch.setattr(Cut, "after", counting(Cut.after, lambda _, rows, *__: rows))
    return lambda: count


def test_a_killed_coarse_scan_goes_on_to_the_same_report(tmp_path: Path) -> None:
    def stop(done: int, total: int, note: str = "", /) -> None:
        if done >= 0.5 * total:
            raise StoppedError

    with pytest.raises(StoppedError):
        scan(large(True), *images(), journal=tmp_path, progress=stop)
    assert list(tmp_path.glob("*stimulation*"))
    assert without_times(scan(large(True), *images(), journal=tmp_path)) == without_times(scanned())
