"""Errors: one sentence that names the thing, what is known, and the likely slip of the pen."""

import copy
import pickle
from collections.abc import Mapping

import pytest

from trojancam.cli.console import OPTIONS
from trojancam.errors import PYTHON, DataError, ModelError, Remedy, TrojanCamError, UnknownNameError, unknown_name
from trojancam.explore.refusals import ON_THE_PAGE


@pytest.mark.parametrize("kind", [DataError, ModelError, UnknownNameError])
def test_every_error_is_one_that_the_command_line_prints(kind: type[TrojanCamError]) -> None:
    assert issubclass(kind, TrojanCamError)


def test_unknown_name_offers_the_nearest_and_lists_all() -> None:
    error = unknown_name("layer", "conv2d_9", ["conv2d_8", "dense"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == "unknown layer 'conv2d_9' (did you mean 'conv2d_8'?); known: conv2d_8, dense"


def test_unknown_name_offers_nothing_where_nothing_is_near() -> None:
    assert str(unknown_name("class", 99, ["stop", "yield"])) == "unknown class '99'; known: stop, yield"


def test_unknown_name_says_so_when_nothing_is_known() -> None:
    assert str(unknown_name("layer", "conv", [])) == "unknown layer 'conv'; known: none"


def test_unknown_name_takes_any_iterable_once() -> None:
    assert "known: 0, 1, 2" in str(unknown_name("class", 7, iter(range(3))))


FACES = {"python": PYTHON, "command line": OPTIONS, "explorer": ON_THE_PAGE}


@pytest.mark.parametrize("words", FACES.values(), ids=FACES)
def test_every_face_has_words_for_every_remedy(words: Mapping[Remedy, str]) -> None:
    assert set(words) == set(Remedy)
    for remedy in Remedy:
        sentence = ModelError("it is wrong", remedy, detail="a, b").told(words)
        assert sentence.startswith("it is wrong; ")
        assert "{" not in sentence


def test_no_face_speaks_the_words_of_another() -> None:
    assert not any("--" in words for words in PYTHON.values())
    assert not any("= " in words or words.endswith("=") for words in OPTIONS.values())
    assert all("dialog" in ON_THE_PAGE[remedy] for remedy in (Remedy.ARCHITECTURE, Remedy.PREPROCESSING))


def test_several_remedies_are_one_or_the_other() -> None:
    error = DataError("it is not clear", Remedy.MORE_IMAGES, Remedy.PREPROCESSING)
    assert str(error) == "it is not clear; give more images, or say how it is fed with preprocessing="


def test_an_error_without_remedies_is_its_problem() -> None:
    assert str(ModelError("the file is cut short; get it again")) == "the file is cut short; get it again"
    assert ModelError("braces {stay} as they are").told(OPTIONS) == "braces {stay} as they are"


def test_a_copy_keeps_its_remedies() -> None:
    error = ModelError("it needs more", Remedy.INSTALL, detail="'trojancam[onnx]'")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(other) == str(error) == "it needs more; install it: pip install 'trojancam[onnx]'"
