"""Settings of a detector are found by name, long or short; what is not known, not typed or out of range is refused."""

from dataclasses import asdict

import pytest

from trojancam.detection import DETECTORS
from trojancam.detection.abs import ABSSettings, Scheme
from trojancam.detection.neural_cleanse import NeuralCleanseSettings
from trojancam.detection.settings import changed, parsed, settable
from trojancam.detection.stimulation_maps.detector import StimulationSettings
from trojancam.errors import DataError, UnknownNameError


@pytest.mark.parametrize("name", ["rounds", "inversion.rounds"])
def test_a_setting_within_others_has_a_long_and_a_short_name(name: str) -> None:
    found = changed(StimulationSettings(), {name: 80, "candidates": 3}, "stimulation")
    before, after = asdict(StimulationSettings()), asdict(found)
    assert after["inversion"].pop("rounds") == 80
    assert after.pop("candidates") == 3
    del before["inversion"]["rounds"], before["candidates"]
    assert after == before


def test_nothing_changed_is_the_same() -> None:
    assert changed(ABSSettings(), {}, "abs") == ABSSettings()


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_setting_takes_its_own_value_as_json_would_say_it(detector: str) -> None:
    settings = DETECTORS[detector].settings
    assert settings is not None
    for name in settable(settings):
        value = settings
        for part in name.split("."):
            value = getattr(value, part)
        plain = [asdict(each) for each in value] if name == "schemes" else value  # type: ignore[attr-defined]
        assert changed(settings, {name: plain}, detector) == settings


def test_values_come_as_the_types_they_should_be() -> None:
    found = changed(
        ABSSettings(), {"schemes": [{"s": 4, "n": 2}], "betas": [0.1, 0.2], "keep": None, "backdoor": 1}, "abs"
    )
    assert found.schemes == (Scheme(4.0, 2),)
    assert found.inversion.betas == (0.1, 0.2)
    assert found.inversion.keep is None
    assert found.backdoor == 1.0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rounds": 8.5}, r"the setting stimulation.inversion.rounds cannot be 8.5: input should be a valid integer"),
        ({"rounds": "80"}, r"stimulation.inversion.rounds cannot be '80'"),
        ({"rounds": True}, r"stimulation.inversion.rounds cannot be True"),
        ({"rounds": 0}, r"stimulation.inversion.rounds cannot be 0: input should be greater than or equal to 1"),
        ({"learning_rate": float("nan")}, r"inversion.learning_rate cannot be nan"),
        ({"learning_rate": float("inf")}, r"inversion.learning_rate cannot be inf: it must be a finite number"),
        ({"up": 1.0}, r"inversion.up cannot be 1.0: input should be greater than 1"),
        ({"betas": [0.5]}, r"inversion.betas cannot be \[0.5\]"),
        ({"candidates": object()}, r"stimulation.candidates cannot be <object"),
        ({"inconclusive": 9.0}, r"the least score that is inconclusive, 9, must not be above the least"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        changed(StimulationSettings(), values, "stimulation")


def test_names_that_are_not_there_are_refused_with_those_that_are() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"unknown setting of stimulation 'round' \(did you mean 'rounds'\?\); known: backdoor, .*candidates, rounds, ",
    ):
        changed(StimulationSettings(), {"round": 3}, "stimulation")
    with pytest.raises(UnknownNameError, match="unknown setting of neural-cleanse 'steps'"):  # one pass is one round
        changed(NeuralCleanseSettings(), {"steps": 3}, "neural-cleanse")
    with pytest.raises(UnknownNameError, match="unknown setting of abs 'inversion.largest'"):  # largest_share says it
        changed(ABSSettings(), {"inversion.largest": 3.0}, "abs")
    with pytest.raises(UnknownNameError, match="unknown setting of abs 'inversion'"):
        changed(ABSSettings(), {"inversion": {}}, "abs")


def test_options_of_the_command_line_are_json_or_words() -> None:
    texts = ["a.x=80", "a.y.z=[1, 2]", "b.x=null", "b.y=hello", "b.z = 1e-3 ", "b.w=a=b"]
    assert parsed(texts) == {
        "a": {"x": 80, "y.z": [1, 2]}, "b": {"x": None, "y": "hello", "z": 0.001, "w": "a=b"},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "rounds=80", "stimulation.rounds", "stimulation.=80", ".rounds=80"])
def test_options_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"a setting has the form DETECTOR.NAME=VALUE, such as stimulation.rounds=80"):
        parsed([text])
