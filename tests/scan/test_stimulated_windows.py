"""The stimulation detector: it finds a planted backdoor, its place and its map, leaves the clean twin alone, and resumes."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.scan.planted import COLUMNS, MAGENTA, ROWS, TARGET, planted

from trojancam.rates import attack_success_rate
from trojancam.scan import stimulated_windows
from trojancam.scan.detectors import Job
from trojancam.scan.findings import Finding, ScanReport
from trojancam.scan.inversion import Inversion
from trojancam.scan.journal import Journal
from trojancam.scan.stimulated_windows import StimulationSettings, detect
from trojancam.scan.success import halves, reasr
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
    suspect = planted(True)
    found = report()
    for finding in found.findings:
        assert finding.trigger is not None
        compactness = (12 * 12 / 32) / max(1.0, float(finding.trigger.mask.sum()))
        expected = max(0.0, finding.evidence["outlyingness"]) * compactness * (finding.reasr or 0.0)
        assert finding.score == pytest.approx(expected, rel=1e-5)
    scores = [finding.score for finding in found.findings]
    assert scores == sorted(scores, reverse=True)
    held_out = halves(suspect)[1]
    first = found.findings[0]
    rate = reasr(suspect.network, first.trigger, held_out.images, held_out.labels, first.target_class)
    assert first.reasr == rate


def test_its_stimulation_can_be_replayed_and_gives_the_rate_told() -> None:
    suspect = planted(True)
    first = report().findings[0]
    assert first.stimulation is not None
    logits = stimulated_logits(suspect.network, suspect.images, [first.stimulation])[0]
    assert first.stimulation_asr == attack_success_rate(logits.argmax(1), suspect.labels, TARGET)
    assert first.stimulation_asr > 0.9
    clean = suspect.network(suspect.images)
    rise = (logits - clean).mean(0)
    assert first.elevation == pytest.approx(
        float(rise[TARGET] - rise[torch.arange(len(rise)) != TARGET].max()), rel=1e-4
    )


def test_holding_the_carrying_map_at_its_clean_mean_takes_the_attack_away() -> None:
    first = report().findings[0]
    assert (first.reasr or 0) > 0.9
    assert (first.ablation_asr or 0) < 0.2


def test_a_scan_that_breaks_off_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suspect = planted(True)

    def broken(*_: object, **__: object) -> list[Inversion]:
        raise KeyboardInterrupt

    job = Job(suspect, journal=Journal(tmp_path, suspect.fingerprint()))
    with monkeypatch.context() as patched:
        patched.setattr(stimulated_windows, "invert_once", broken)
        with pytest.raises(KeyboardInterrupt):
            detect(job)
    assert list(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(stimulated_windows, "stimulation_maps", broken)  # what was done is not done again
        resumed = detect(replace(job, journal=Journal(tmp_path, suspect.fingerprint())))
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
