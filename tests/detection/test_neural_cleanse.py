"""Neural Cleanse: the anomaly index by hand, the planted backdoor and its clean twin, and going on after a kill."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import median_abs_deviation
from tests.detection.planted import COLUMNS, ROWS, TARGET, planted

from trojancam.detection.detector import Job
from trojancam.detection.findings import ScanReport
from trojancam.detection.inversion import Inversion, invert
from trojancam.detection.neural_cleanse import NeuralCleanseSettings, detect
from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError
from trojancam.kept import Kept

SHORT = NeuralCleanseSettings(
    inversion=replace(NeuralCleanseSettings().inversion, rounds=8, patience=1), at_once=4, findings=9
)


def without_time(report: ScanReport) -> dict[str, object]:
    return report.to_json() | {"timing": None}


def test_the_score_is_the_anomaly_index_of_the_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Inversion] = []

    def spied(*arguments: Any) -> list[Inversion]:
        seen.extend(found := invert(*arguments))
        return found

    monkeypatch.setattr("trojancam.detection.inversion.invert", spied)
    report = detect(Job(planted(True)), SHORT)
    sizes = np.array([inversion.mask_l1 for inversion in seen])
    expected = np.abs(sizes - np.median(sizes)) / (1.4826 * median_abs_deviation(sizes))
    assert [inversion.candidate.target_class for inversion in seen] == list(range(9))
    assert (
        sorted(finding.target_class for finding in report.findings) == np.flatnonzero(sizes < np.median(sizes)).tolist()
    )
    for finding in report.findings:
        assert finding.score == pytest.approx(expected[finding.target_class], rel=1e-9)
    assert report.score == max(finding.score for finding in report.findings)


def test_it_finds_the_planted_class_and_place() -> None:
    report = detect(Job(planted(True)))
    assert report.verdict == "backdoor"
    first, *others = report.findings
    assert first.target_class == TARGET
    assert first.score == report.score > 5
    assert max(finding.score for finding in others) < 2
    assert first.position is not None
    assert ROWS.start <= first.position[0] < ROWS.stop
    assert COLUMNS.start <= first.position[1] < COLUMNS.stop
    assert first.reasr is not None
    assert first.reasr > 0.8  # a mask of a quarter of a pixel may miss some of the images that it was not made on
    assert first.evidence["mask_l1"] < 1 < first.evidence["median_mask_l1"]
    assert first.trigger is not None
    assert float(first.trigger.mask.sum()) == first.evidence["mask_l1"]


def test_it_does_not_call_the_clean_twin() -> None:
    report = detect(Job(planted(False)))
    assert report.verdict == "nothing found"
    assert report.score < 1.5


def test_only_masks_smaller_than_the_median_are_told_of() -> None:
    report = detect(Job(planted(True)), SHORT)
    sizes = [finding.evidence["mask_l1"] for finding in report.findings]
    assert sizes
    assert all(size < finding.evidence["median_mask_l1"] for size, finding in zip(sizes, report.findings, strict=True))
    assert [finding.score for finding in report.findings] == sorted((f.score for f in report.findings), reverse=True)
    assert len(detect(Job(planted(True)), replace(SHORT, findings=1)).findings) == 1


def test_the_settings_are_the_papers() -> None:
    inversion = NeuralCleanseSettings().inversion
    assert (inversion.learning_rate, inversion.betas, inversion.success) == (0.1, (0.5, 0.9), 0.99)
    assert (inversion.first_penalty, inversion.penalty, inversion.patience) == (0.0, 1e-3, 5)
    assert (inversion.up, inversion.down, inversion.largest, inversion.keep) == (2, 2**1.5, None, None)


def test_a_round_is_one_pass_over_the_images() -> None:
    report = detect(Job(planted(True)), replace(SHORT, inversion=replace(SHORT.inversion, batch=7)))
    assert report.settings["inversion"]["steps"] == 3  # 18 images


def test_killed_after_any_step_it_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = without_time(detect(Job(planted(True), seed=2), SHORT))
    for steps in (0, 1, 2):
        folder, calls = tmp_path / str(steps), list[int]()

        def dying(*arguments: Any, calls: list[int] = calls, steps: int = steps) -> list[Inversion]:
            if len(calls) == steps:
                raise KeyboardInterrupt
            calls.append(1)
            return invert(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr("trojancam.detection.inversion.invert", dying)
            with pytest.raises(KeyboardInterrupt):
                detect(Job(planted(True), seed=2, journal=Kept(folder, "run")), SHORT)
        report = detect(Job(planted(True), seed=2, journal=Kept(folder, "run")), SHORT)
        assert without_time(report) == expected
        assert len(report.timing) == 3


def test_a_seed_reproduces_and_is_part_of_the_settings() -> None:
    first, again, other = (without_time(detect(Job(planted(True), seed=seed), SHORT)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert other["settings"]["seed"] == 1  # type: ignore[index]


def test_progress_runs_to_its_end() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total))

    detect(Job(planted(True), progress=progress), SHORT)
    assert [done for done, _ in told] == list(range(1, 25))
    assert {total for _, total in told} == {24}  # three groups of eight rounds


def test_images_of_one_class_are_refused() -> None:
    clean = planted(True)
    same = Suspect(clean.network, clean.images, torch.zeros_like(clean.labels))
    with pytest.raises(DataError, match="add images of other classes"):
        detect(Job(same), SHORT)
