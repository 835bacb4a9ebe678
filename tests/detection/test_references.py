"""References: p-values by counting, only for the same settings and never against the suspect itself; files that are refused."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.detection.planted import planted
from tests.nets import unchecked

from trojancam.detection import DETECTORS
from trojancam.detection.references import (
    Reference,
    ReferenceNetwork,
    own_reference,
    p_value,
    read_reference,
    settings_fingerprint,
)
from trojancam.detection.scanning import scan
from trojancam.detection.settings import Settings
from trojancam.detection.smallest_changes.smallest_stripes import CoarseStripesSettings, StripesSettings
from trojancam.errors import DataError

USUAL = DETECTORS["stimulation"].settings


def test_a_coarse_search_has_a_fingerprint_of_its_own_even_with_the_numbers_of_a_thorough_one() -> None:
    thorough = StripesSettings(backdoor=1.0, inconclusive=0.5)
    coarse = CoarseStripesSettings(backdoor=1.0, inconclusive=0.5, **numbers(thorough))
    assert asdict(coarse) == asdict(thorough)
    assert settings_fingerprint(coarse) != settings_fingerprint(thorough)


def numbers(settings: StripesSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name not in ("backdoor", "inconclusive")}


def one(number: int, **scores: float) -> ReferenceNetwork:
    return ReferenceNetwork(
        name=f"clean {number}",
        fingerprint=str(number),
        architecture="a",
        data="d",
        classes=9,
        accuracy=0.9,
        images=36,
        scores=scores,
    )


def reference(*scores: float) -> Reference:
    networks = tuple(one(number, stimulation=score) for number, score in enumerate(scores))
    return Reference(settings={"stimulation": settings_fingerprint(USUAL)}, networks=networks)


def test_a_p_value_counts_the_clean_networks_that_score_as_high() -> None:
    null = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert [p_value(score, null) for score in (0.5, 1.0, 1.5, 3.0, 3.1)] == [1.0, 1.0, 0.75, 0.5, 0.25]
    assert p_value(1.0, {}) is None


def test_p_values_of_clean_networks_are_at_most_p_as_often_as_p() -> None:
    """A network drawn like its reference: over all choices of who is the suspect, exactly."""
    scores = torch.rand(20, generator=torch.Generator().manual_seed(0)).tolist()
    found = [
        p_value(own, {str(other): value for other, value in enumerate(scores) if other != place})
        for place, own in enumerate(scores)
    ]
    assert sorted(each for each in found if each is not None) == pytest.approx([k / 20 for k in range(1, 21)])


def test_only_scores_of_the_same_settings_count_and_never_the_suspects_own() -> None:
    known = reference(1.0, 2.0)
    assert known.null("stimulation", USUAL, 9) == {"0": 1.0, "1": 2.0}
    assert known.null("stimulation", USUAL, 9, without="1") == {"0": 1.0}
    assert known.null("stimulation", Settings(backdoor=2.0, inconclusive=1.0), 9) == {}
    assert known.null("additive", DETECTORS["additive"].settings, 9) == {}


def test_only_networks_with_about_as_many_classes_count_where_there_are_any() -> None:
    few, many = one(1, stimulation=1.0), one(2, stimulation=2.0).model_copy(update={"classes": 43})
    known = Reference(networks=(few, many))
    for classes, alike in (
        (5, (few,)),
        (18, (few,)),
        (19, (few, many)),
        (22, (many,)),
        (86, (many,)),
        (1000, (few, many)),
    ):
        assert known.alike(classes) == alike, classes


def test_a_scan_tells_p_and_how_many_networks_it_rests_on() -> None:
    whole = planted(True)
    report = scan(whole.network, whole.images, whole.labels, "stimulation", reference=reference(0.1, 0.2, 50.0))
    judgement = report.judgement
    assert (judgement.p, judgement.least_p, judgement.references, judgement.alarms) == (0.5, 0.25, 3, 1)
    assert (report.opinions["stimulation"].p, report.opinions["stimulation"].references) == (0.5, 3)
    assert any("p = 0.5 (one method); with 3 reference networks" in words for words in judgement.in_words())


def test_a_reference_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    reference(1.0, 2.0).write(path)
    assert read_reference(path) == reference(1.0, 2.0)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2}', '{"networks": [{"name": "x"}]}', "\xff"])
def test_what_is_no_reference_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text, encoding="latin-1")
    with unchecked(), pytest.raises(DataError, match="reference.json holds no reference networks"):
        read_reference(path)
    with unchecked(), pytest.raises(DataError, match="cannot read"):
        read_reference(tmp_path / "nothing.json")


def test_what_came_with_the_package_fits_the_usual_settings() -> None:
    own = own_reference()
    for method, fingerprint in own.settings.items():
        assert fingerprint == settings_fingerprint(DETECTORS[method].settings), method
    assert len({each.fingerprint for each in own.networks}) == len(own.networks)
