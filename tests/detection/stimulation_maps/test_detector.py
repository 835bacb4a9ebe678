"""The stimulation detector: it finds a planted backdoor, its place and its map, leaves the clean twin alone, and resumes."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, TARGET, planted
from tests.nets import images
from torch import nn

from trojancam.detection.detector import Job
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.inversion import Inversion
from trojancam.detection.stimulation_maps import detector as stimulated_windows
from trojancam.detection.stimulation_maps.detector import StimulationSettings, detect
from trojancam.detection.success import reasr
from trojancam.detection.suspect import halves, suspect
from trojancam.kept import Kept
from trojancam.network.network import Network
from trojancam.rates import attack_success_rate
from trojancam.stimulation import stimulated_logits


@cache
def report(trojaned: bool = True) -> ScanReport:
    return detect(Job(planted(trojaned)))


def told(scan: ScanReport) -> dict[str, object]:
    """All that a report says but how long it took."""
    return {name: value for name, value in scan.to_json().items() if name != "timing"}


def test_the_planted_backdoor_is_found_with_class_place_and_map() -> None:
    found = report()
    assert found.verdict == "backdoor"
    first = found.findings[0]
    assert found.score == first.score >= found.threshold
    assert (first.target_class, first.detector) == (TARGET, "stimulation")
    assert MAGENTA in first.feature_maps
    assert first.position is not None
    row, column = first.position
    assert ROWS.start - 1 <= row <= ROWS.stop
    assert COLUMNS.start - 1 <= column <= COLUMNS.stop
    assert first.moves is False


def test_the_clean_twin_is_not_called_backdoored() -> None:
    assert report(trojaned=False).verdict == "nothing found"


def test_the_score_is_what_the_formula_says_and_findings_come_strongest_first() -> None:
    seen = planted(True)
    found = report()
    lone = {}
    for finding in found.findings:
        assert finding.trigger is not None
        compactness = (12 * 12 / 32) / max(1.0, float(finding.trigger.mask.sum()))
        others = seen.others(finding.target_class)
        there = (seen.network(seen.images).argmax(1) == finding.target_class)[others].float().mean()
        gain = max(0.0, (finding.reasr or 0.0) - float(there))
        expected = math.sqrt(min(16.0, max(0.0, finding.evidence["outlyingness"]))) * compactness * gain
        lone[finding.target_class] = expected
        assert finding.score == pytest.approx(expected * min(1, 2 * finding.evidence["lead"]), rel=1e-5)
    first, second, third = sorted((max(0.5, score) for score in lone.values()), reverse=True)[:3]
    leads = [math.log(first / second), math.log(second / third)]
    assert found.findings[0].evidence["lead"] == pytest.approx(max(leads))
    assert [finding.evidence["lead"] for finding in found.findings[2:]] == [0] * (len(found.findings) - 2)
    scores = [finding.score for finding in found.findings]
    assert scores == sorted(scores, reverse=True)
    held_out = halves(seen)[1]
    first = found.findings[0]
    rate = reasr(seen.network, first.trigger, held_out.images, held_out.labels, first.target_class)
    assert first.reasr == rate


def test_its_stimulation_can_be_replayed_and_gives_the_rate_told() -> None:
    seen = planted(True)
    first = report().findings[0]
    assert first.stimulation is not None
    logits = stimulated_logits(seen.network, seen.images, [first.stimulation])[0]
    assert first.stimulation_asr == attack_success_rate(logits.argmax(1), seen.labels, TARGET)
    assert first.stimulation_asr > 0.9
    clean = seen.network(seen.images)
    rest = torch.arange(logits.shape[1]) != TARGET
    leads = [(each[:, TARGET] - each[:, rest].amax(1)).mean() for each in (logits, clean)]
    assert first.elevation == pytest.approx(float(leads[0] - leads[1]), rel=1e-4)


def test_holding_the_carrying_map_at_its_clean_mean_takes_the_attack_away() -> None:
    first = report().findings[0]
    assert (first.reasr or 0) > 0.9
    assert (first.ablation_asr or 0) < 0.2


def test_a_scan_that_breaks_off_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = planted(True)

    def broken(*_: object, **__: object) -> list[Inversion]:
        raise KeyboardInterrupt

    job = Job(seen, journal=Kept(tmp_path, seen.fingerprint()))
    with monkeypatch.context() as patched:
        patched.setattr(stimulated_windows, "invert_once", broken)
        with pytest.raises(KeyboardInterrupt):
            detect(job)
    assert list(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(stimulated_windows, "stimulation_maps", broken)  # what was done is not done again
        resumed = detect(replace(job, journal=Kept(tmp_path, seen.fingerprint())))
    assert told(resumed) == told(report())


def test_the_same_seed_gives_the_same_report_and_json_holds_all_of_it() -> None:
    first, second = report(), detect(Job(planted(True)))
    assert told(first) == told(second)
    assert [Finding.from_json(finding.to_json()).to_json() for finding in first.findings] == [
        finding.to_json() for finding in first.findings
    ]


def test_progress_is_told_from_start_to_end() -> None:
    told: list[tuple[int, int, str]] = []
    detect(Job(planted(True), progress=lambda done, total, note="": told.append((done, total, note))))
    assert all(0 <= done <= total for done, total, _ in told)
    assert any("stimulating" in note for _, _, note in told)
    assert any("triggers" in note for _, _, note in told)


def test_few_candidates_are_enough_for_one_backdoor() -> None:
    found = detect(Job(planted(True)), StimulationSettings(candidates=1))
    assert [finding.target_class for finding in found.findings] == [TARGET]


def test_a_network_that_gives_every_image_one_class_has_no_backdoor() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 4))
    with torch.no_grad():
        module[-1].weight.mul_(0.01)
        module[-1].bias.copy_(torch.tensor([0.0, 0.0, 9.0, 0.0]))
    seen = suspect(Network.from_module(module, (12, 12)), images(16), torch.arange(16) % 4)
    found = detect(Job(seen))
    assert found.verdict == "nothing found"
    assert next(finding for finding in found.findings if finding.target_class == 2).score == 0


def test_without_labels_a_class_that_all_images_are_given_is_left_out() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 4))
    with torch.no_grad():
        module[-1].bias[2] = 9.0
    found = detect(Job(suspect(Network.from_module(module, (12, 12)), images(16))))
    assert sorted(finding.target_class for finding in found.findings) == [0, 1, 3]
