"""ABS: elevations against a derivation in float64, the planted backdoor and its clean twin, and going on after a kill."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, SLOPE, TARGET, planted
from tests.nets import NETS, images_for, network
from torch import Tensor

from trojancam.detection.abs import SCHEMES, ABSSettings, StimulatedMap, detect, stimulated_maps, strongest
from trojancam.detection.detector import Job
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.inversion import InversionSettings
from trojancam.detection.suspect import Suspect
from trojancam.errors import UnknownNameError
from trojancam.kept import Kept
from trojancam.stimulation import Stimulation

SHORT = ABSSettings(inversion=InversionSettings(rounds=4, keep=2, trial=2))


def without_time(report: ScanReport) -> dict[str, object]:
    return report.to_json() | {"timing": None}


def logits_by_hand(images: Tensor, feature_map: int, value: float) -> Tensor:
    """The plain net in float64, a map of its first layer replaced by a constant."""
    module, _ = network("plain")
    double = {name: tensor.double() for name, tensor in module.state_dict().items()}
    maps = torch.relu(F.conv2d(images.double(), double["first.weight"], double["first.bias"]))
    maps[:, feature_map] = value
    deep = torch.relu(F.conv2d(F.max_pool2d(maps, 2), double["second.weight"], double["second.bias"]))
    return deep.flatten(1) @ double["linear.weight"].T + double["linear.bias"]


def test_elevations_and_rates_are_those_of_the_formulae() -> None:
    module, net = network("plain")
    images, labels = images_for(net, 12), torch.arange(12) % 4
    with torch.no_grad():
        largest = float(torch.relu(module.first(images)).max())
    rows = {(row.feature_map, row.scheme): row for row in stimulated_maps(net, "first", images, labels)}
    assert list(rows) == [(number, scheme) for number in range(4) for scheme in SCHEMES]
    for (number, scheme), row in rows.items():
        values = [i * scheme.s * largest / scheme.n for i in range(scheme.n)]
        logits = torch.stack([logits_by_hand(images, number, value) for value in values])
        rise = logits[1:].max(0).values - logits[0]
        first, second = rise.sort(1, descending=True).values[:, :2].unbind(1)
        label = rise.argmax(1)
        target = max(range(4), key=lambda t: int((label == t).sum()))
        others = labels != target
        agreeing = others & (label == target)
        best = max(range(1, scheme.n), key=lambda i: float(logits[i, others, target].mean()))
        assert row.target_class == target
        assert row.agreement == pytest.approx(float(agreeing.sum() / others.sum()))
        assert row.elevation == pytest.approx(float((first - second)[agreeing].min()), rel=1e-4, abs=1e-6)
        assert row.value == pytest.approx(values[best], rel=1e-5)
        rate = (logits[best, others].argmax(1) == target).float().mean()
        assert row.stimulation_asr == pytest.approx(float(rate))
        assert row.prediction_value == pytest.approx(float(logits[best, others, target].mean()), rel=1e-4)


def test_the_schemes_are_the_papers() -> None:
    far, near = SCHEMES
    assert far.values(10.0).tolist() == [0, 16, 32, 48, 64]
    torch.testing.assert_close(near.values(3.0), torch.tensor([0.0, 2.0, 4.0]))


@pytest.mark.parametrize("name", NETS)
def test_every_map_of_every_layer_of_any_network_gets_a_row(name: str) -> None:
    _, net = network(name)
    images, labels = images_for(net, 5), torch.arange(5) % 4
    for layer, known in net.layers.items():
        rows = stimulated_maps(net, layer, images, labels)
        assert [row.feature_map for row in rows] == [k for k in range(known.feature_maps) for _ in SCHEMES]
        assert all(row.layer == layer and 0 <= row.agreement <= 1 and row.elevation >= 0 for row in rows)


def test_images_of_the_risen_class_alone_say_nothing() -> None:
    clean = planted(True)
    row = stimulated_maps(clean.network, "0", clean.images, torch.full_like(clean.labels, TARGET))[2 * MAGENTA]
    assert row == StimulatedMap("0", MAGENTA, SCHEMES[0], TARGET)


def test_memory_is_bounded_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = planted(True)
    expected = stimulated_maps(clean.network, "0", clean.images, clean.labels)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 1)
    for one, other in zip(stimulated_maps(clean.network, "0", clean.images, clean.labels), expected, strict=True):
        assert one.elevation == pytest.approx(other.elevation, rel=1e-4, abs=1e-4)


def row(feature_map: int, target: int, elevation: float, agreement: float = 1.0) -> StimulatedMap:
    return StimulatedMap("conv", feature_map, SCHEMES[0], target, agreement, elevation)


def test_the_strongest_map_of_each_class_is_taken_if_images_agree_on_it() -> None:
    table = [row(0, 3, 5.0), row(1, 3, 9.0), row(2, 4, 7.0), row(3, 5, 99.0, 0.7), row(4, 6, 0.0), row(5, 7, 1.0, 0.8)]
    assert [each.feature_map for each in strongest(table)] == [1, 2, 5]
    assert [each.feature_map for each in strongest(table, ABSSettings(classes=2))] == [1, 2]


def test_it_finds_the_planted_class_map_and_place() -> None:
    report = detect(Job(planted(True)))
    assert report.verdict == "backdoor"
    first = report.findings[0]
    assert (first.target_class, first.layer, first.feature_maps) == (TARGET, "0", (MAGENTA,))
    assert first.reasr == first.score == report.score == 1.0
    assert first.stimulation_asr == 1.0
    assert first.ablation_asr == 0.0  # all of the attack passes through this map
    assert first.position is not None
    assert ROWS.start <= first.position[0] < ROWS.stop
    assert COLUMNS.start <= first.position[1] < COLUMNS.stop
    assert first.elevation == first.evidence["elevation (s=8, n=5)"] > first.evidence["elevation (s=2, n=3)"] > 0


def test_it_does_not_call_the_clean_twin_whose_maps_lift_a_class_too() -> None:
    report = detect(Job(planted(False)))
    assert report.verdict == "nothing found"
    (finding,) = (finding for finding in report.findings if finding.feature_maps == (SLOPE,))
    assert finding.target_class == 1
    assert finding.stimulation_asr == 1.0
    assert finding.reasr == 0.0  # but no small trigger does
    assert finding.evidence["mask_l1"] <= 0.02 * 144


def test_a_network_without_suspicious_maps_has_no_findings() -> None:
    report = detect(Job(planted(False)), replace(SHORT, agreement=1.1))
    assert (report.verdict, report.score, report.findings) == ("nothing found", 0.0, ())


def test_a_report_and_its_findings_survive_json() -> None:
    report = detect(Job(planted(True)), SHORT)
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    again = Finding.from_json(record["findings"][0])
    assert replace(again, trigger=None) == replace(report.findings[0], trigger=None)
    assert again.stimulation == Stimulation("0", (MAGENTA,), "replace", again.evidence["stimulation_value"])


def test_killed_after_any_step_it_goes_on_to_the_same_report(tmp_path: Path) -> None:
    whole = detect(Job(planted(True), seed=2), SHORT)

    class Dying(Kept):
        def step(self, name: str, work: object) -> dict[str, Tensor]:
            if len(self.timing) == steps:
                raise KeyboardInterrupt
            return super().step(name, work)  # type: ignore[arg-type]

    for steps in range(len(whole.timing)):
        folder = tmp_path / str(steps)
        with pytest.raises(KeyboardInterrupt):
            detect(Job(planted(True), seed=2, journal=Dying(folder, "run")), SHORT)
        assert len(list(folder.glob("*.kept"))) == steps
        again = detect(Job(planted(True), seed=2, journal=Kept(folder, "run")), SHORT)
        assert without_time(again) == without_time(whole)


def test_a_seed_reproduces() -> None:
    first, again = (without_time(detect(Job(planted(True), seed=1), SHORT)) for _ in range(2))
    assert first == again


def test_progress_runs_to_its_end() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total))

    detect(Job(planted(True), progress=progress), SHORT)
    assert told == [(done, 5) for done in range(1, 6)]  # a layer, four rounds


def test_a_class_that_cannot_be_judged_on_held_out_images_is_left_out() -> None:
    clean = planted(True)
    two = torch.stack([(clean.labels == label).nonzero()[0, 0] for label in (0, TARGET)])  # one for each half
    report = detect(Job(Suspect(clean.network, clean.images[two], clean.labels[two])), SHORT)
    assert TARGET not in [finding.target_class for finding in report.findings]


def test_an_unknown_layer_is_refused() -> None:
    clean = planted(True)
    with pytest.raises(UnknownNameError, match="unknown layer 'conv'"):
        stimulated_maps(clean.network, "conv", clean.images, clean.labels)
