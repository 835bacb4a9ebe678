"""Calibrating: scores of clean networks are those of their scans, kept after each; what is poor is left out."""

from pathlib import Path

import pytest
import torch
from tests.detection.planted import CLASSES, module, planted
from tests.nets import unchecked

from trojancam.detection.references import Reference
from trojancam.detection.scanning import scan
from trojancam.errors import DataError
from trojancam.network.network import Network
from trojancam.tasks import calibrate
from trojancam.tasks.calibrate import VouchedNetwork, calibrated

METHODS = ("additive",)
SHORT = {"additive": {"screen.steps": 2, "detail.steps": 2}}


def clean(name: str, shift: float = 0.0, turned: int = 0) -> VouchedNetwork:
    """A clean twin, a little changed; `turned` labels make it poor."""
    whole, net = planted(False), module(False)
    with torch.no_grad():
        net[3].bias[0] += shift
    return VouchedNetwork(
        name,
        Network.from_module(net, (12, 12), name="twin"),
        whole.images,
        (whole.labels + turned) % CLASSES,
        "pictures",
    )


def test_scores_are_those_of_scans_and_kept_after_each(tmp_path: Path) -> None:
    networks = [clean("one"), clean("two", 0.01)]
    kept: list[int] = []
    found, left_out = calibrated(
        networks, METHODS, settings=SHORT, journal=tmp_path / "steps", kept=lambda each: kept.append(len(each.networks))
    )
    assert (kept, left_out) == ([1, 2], [])
    assert [(each.name, each.classes, each.images, each.accuracy) for each in found.networks] == [
        ("one", 9, 36, 1.0),
        ("two", 9, 36, 1.0),
    ]
    for one, each in zip(networks, found.networks, strict=True):
        report = scan(one.network, one.images, one.labels, METHODS, settings=SHORT, reference=found)
        assert each.scores == {"additive": pytest.approx(report.score, abs=1e-4)}
        assert report.judgement.references == 1  # the other one: never itself


def test_networks_that_were_scanned_are_not_scanned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = calibrated([clean("one")], METHODS, settings=SHORT)
    asked: list[Network] = []

    def counted(network: Network, *given: object, **named: object) -> object:
        asked.append(network)
        return scan(network, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(calibrate, "scan", counted)
    both, _ = calibrated([clean("one"), clean("two", 0.01)], METHODS, begun=first, settings=SHORT)
    assert len(asked) == 1
    assert both.networks[0] == first.networks[0]
    assert [each.name for each in both.networks] == ["one", "two"]


def test_a_known_network_is_scanned_by_what_it_lacks_alone() -> None:
    settings = SHORT | {"tone": SHORT["additive"]}
    first, _ = calibrated([clean("one")], METHODS, settings=SHORT)
    asked = []

    def told(_: int, __: int, what: str) -> None:
        asked.append(what)

    both, _ = calibrated([clean("one")], (*METHODS, "tone"), begun=first, settings=settings, progress=told)
    (network,) = both.networks
    assert set(network.scores) == {"additive", "tone"}
    assert network.scores["additive"] == first.networks[0].scores["additive"]
    assert not any("additive" in what for what in asked)


def test_a_poor_network_is_left_out_and_told() -> None:
    found, left_out = calibrated([clean("poor", turned=1)], METHODS, settings=SHORT)
    assert found.networks == ()
    assert left_out[0].startswith("poor is left out. The network is right on 0 of 36")


def test_coarse_scores_do_not_go_into_a_file_of_thorough_ones() -> None:
    coarse = {"additive": {"effort": "coarse", **SHORT["additive"]}}
    found, _ = calibrated([clean("first")], METHODS, settings=coarse)
    with unchecked(), pytest.raises(DataError, match="other settings of additive"):
        calibrated([clean("second", 0.01)], METHODS, begun=found, settings=SHORT)


def test_other_settings_do_not_go_into_one_file() -> None:
    begun = Reference(settings={"additive": "another"})
    with unchecked(), pytest.raises(DataError, match="other settings of additive; write to another file"):
        calibrated([], METHODS, begun=begun)
