"""Errors: one sentence that names the thing, what is known, and the likely slip of the pen."""

import pytest

from trojancam.errors import DataError, ModelError, TrojanCamError, UnknownNameError, unknown_name


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
