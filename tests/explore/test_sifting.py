"""Sifting: the page's numbers are those of the library's sieve, and what cannot work says so."""

import pytest
import torch
from tests.explore.conftest import SUBJECT, TRIGGER, unpacked

import trojancam as tc
from trojancam.defences.sieve import learned
from trojancam.explore import sifting
from trojancam.explore.subjects import AboutDefence


def asked(defence, **subject):
    return AboutDefence.model_validate({"subject": {**SUBJECT, **subject}, "defence": defence})


@pytest.fixture
def few(monkeypatch):
    """Fifteen clean images set a coarse threshold."""
    monkeypatch.setattr(sifting, "FALSE_ALARMS", 0.2)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("defence", ["contributions", "scale-up"])
def test_an_image_is_scored_as_the_library_does(session, defence):
    session.cache.forget(lambda key: "sieve" in key)
    found = sifting.sift(session, asked(defence, trigger=TRIGGER))
    model = session.model("m1")
    clean = tc.data.as_floats(model.images.sample(sifting.CLEAN, 0, spread=True).images)
    seen = session.seen(asked(defence, trigger=TRIGGER).subject).image
    expected = learned(model.network, clean, [defence], false_alarms=0.2)(seen[None]).by_method[defence]
    assert found["score"] == pytest.approx(float(expected.scores[0]))
    assert found["p_value"] == pytest.approx(float(expected.p_values[0]))
    assert (found["threshold"], found["suspicious"]) == (expected.threshold, bool(expected.suspicious[0]))
    if defence == "contributions":
        assert torch.allclose(unpacked(found["place"]), expected.places[0])
    else:
        assert found["place"] is None


@pytest.mark.usefixtures("few")
def test_a_defence_that_cannot_work_with_the_network_says_why(session):
    assert "batch normalisations" in sifting.sift(session, asked("ibd-psc"))["unable"]


def test_what_there_is_no_sieve_for_is_refused(session):
    with pytest.raises(tc.errors.UnknownNameError, match="defence"):
        sifting.sift(session, asked("nothing"))
    session.cache.forget(lambda key: "sieve" in key)
    with pytest.raises(tc.errors.DataError, match="clean images"):
        sifting.sift(session, asked("strip"))
