"""Coverage: what is looked for and what is not, chosen by families and victims; searches that are left out say why."""

import pytest
import torch
from tests.detection.planted import CLASSES, planted
from tests.nets import unchecked

from trojancam.attacks.families import FAMILIES
from trojancam.detection.coverage import VICTIMS, CannotSearchError, Searched, coverage
from trojancam.detection.scanning import DEFAULT_METHODS, DETECTORS, known_methods, scan
from trojancam.errors import DataError, UnknownNameError

PATCHES = Searched("stimulation", ("patch",), ("every-class",))
WARPS = Searched("warp", ("warp",), ("every-class",))


def test_what_was_not_looked_for_says_why() -> None:
    found = coverage([PATCHES], {"warp": "no time"}, [PATCHES, WARPS, Searched("tone", ("tone",), ("every-class",))])
    whys = {each.what: each.why for each in found.not_searched}
    assert whys["warp triggers"] == "no time"
    assert whys["tone triggers"] == "not asked for"
    assert whys["stripes triggers"] == "no method looks for it"
    assert "patch triggers" not in whys
    assert any("victims: every-class" in words for words in found.in_words())


def test_a_search_that_was_left_out_does_not_deny_what_another_looked_for() -> None:
    """A scan that ran out of time looked for stripes by one of two methods."""
    both, closer = (
        Searched("additive", ("blend", "stripes"), ("every-class",)),
        Searched("stripes", ("stripes",), ("every-class",)),
    )
    found = coverage([both], {"stripes": "no time"}, [both, closer])
    searched, missing, *_ = found.in_words()
    assert "stripes" in searched
    assert "stripes more closely, by the method stripes (no time)" in missing
    assert "stripes triggers" not in missing
    assert "what stripes looks for" not in missing
    opinion = coverage([both], {"abs": "no time"}, [both])
    assert "what the method abs looks for" in [each.what for each in opinion.not_searched]
    neither = coverage([WARPS], {"stripes": "no time"}, [WARPS, closer])
    assert [each.what for each in neither.not_searched if each.why == "no time"] == ["stripes triggers"]


def test_all_that_detectors_look_for_has_a_name() -> None:
    for detector in DETECTORS.values():
        assert set(detector.families) <= set(FAMILIES)
        assert set(detector.victims) <= set(VICTIMS)


def test_families_and_victims_choose_methods() -> None:
    assert known_methods(None) == DEFAULT_METHODS
    assert known_methods(None, "tone") == ("tone",)
    assert known_methods(None, ("patch", "warp")) == ("stimulation", "warp", "all-to-all")
    assert known_methods(None, (), "all-to-all") == ("all-to-all",)
    assert known_methods(None, (), "some-classes") == ("some-classes",)
    assert known_methods(None, "patch", ("all-to-all", "some-classes")) == ("all-to-all", "some-classes")
    assert known_methods(None, "patch", "every-class") == ("stimulation",)
    assert known_methods(("abs", "warp"), "patch") == ("abs",)
    with unchecked():
        with pytest.raises(UnknownNameError, match=r"unknown family 'patches' \(did you mean 'patch'"):
            known_methods(None, "patches")
        with pytest.raises(UnknownNameError, match="unknown kind of victims"):
            known_methods(None, (), "everybody")
        with pytest.raises(DataError, match="none of the methods warp looks for patch"):
            known_methods("warp", "patch")


def test_a_search_that_the_images_do_not_allow_is_left_out_and_says_what_to_add() -> None:
    whole = planted(True)
    few = torch.cat(
        [
            (whole.labels == label).nonzero()[:count, 0]
            for label, count in ((0, 4), (1, 4), *((c, 1) for c in range(2, CLASSES)))
        ]
    )
    images, labels = whole.images[few], whole.labels[few]
    report = scan(whole.network, images, labels, ["stimulation", "all-to-all"])
    (why,) = [each.why for each in report.coverage.not_searched if each.what == VICTIMS["all-to-all"]]
    assert "only 2 of 9 classes have two images or more" in why
    assert "give at least two images of each class" in why
    assert list(report.opinions) == ["stimulation"]
    with unchecked(), pytest.raises(CannotSearchError, match="only 2 of 9 classes"):
        scan(whole.network, images, labels, "all-to-all")


def test_a_budget_leaves_out_what_does_not_fit_in() -> None:
    whole = planted(True)
    report = scan(whole.network, whole.images, whole.labels, ["stimulation", "all-to-all"], budget="1%")
    assert list(report.opinions) == ["all-to-all"]  # the cheaper one
    (why,) = [each.why for each in report.coverage.not_searched if each.what == VICTIMS["every-class"]]
    assert "and the budget is 1%" in why
