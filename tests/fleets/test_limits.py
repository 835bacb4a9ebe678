"""Limits: times and amounts as people write them."""

import pytest

from trojancam.errors import DataError
from trojancam.fleets.limits import bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2 h", 7200), ("1d", 86400), ("0.5", 0.5), (3, 3)]
)
def test_times(text: str | float, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("4GiB", 4 << 30), ("1.5g", 3 << 29), (1 << 30, 1 << 30)]
)
def test_amounts(text: str | int, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "m", "0", "-1s", "15 parsecs", "1e3", "nan"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not"):
        seconds_of(text)
    with pytest.raises(DataError, match="not"):
        bytes_of(text)


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(DataError, match="at least 64M"):
        bytes_of("1M")
