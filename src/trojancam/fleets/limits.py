"""Limits: how long a model may take, how much memory, and how often its process may be killed by somebody else."""

import re

from pydantic import Field

from trojancam.errors import DataError
from trojancam.records import Positive, Record

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
FAILURES = 2  # of one model, before it is given up


class Limits(Record):
    """Seconds for one model, bytes that it may take beside the libraries, and how often its process may end unexpectedly."""

    seconds: Positive = 900.0
    memory: int = Field(default=4 << 30, ge=64 << 20)
    failures: int = Field(default=FAILURES, ge=1)


def seconds_of(text: str | float | int) -> float:
    """A time: a number of seconds, or with s, m, h or d behind it.

    Raises:
        DataError: if it is none.

    >>> seconds_of("15m"), seconds_of(2.5)
    (900.0, 2.5)
    """
    return _number(text, SECONDS, "a deadline is a time such as 90s, 15m or 2h")


def bytes_of(text: str | int) -> int:
    """An amount of memory: a number of bytes, or with K, M, G or T behind it; at least 64 MB.

    Raises:
        DataError: if it is none.

    >>> bytes_of("4G") == 4 * 2**30
    True
    """
    found = int(_number(text, BYTES, "memory is an amount such as 512M or 4G"))
    if found < 64 << 20:
        raise DataError(f"memory is at least 64M for one model, not {text}")
    return found


def _number(text: str | float | int, units: dict[str, int], what: str) -> float:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]?)(?:i?b)?\s*", str(text).lower())
    if match is None or match[2] not in units or float(match[1]) <= 0:
        raise DataError(f"{what}, not {text!r}")
    return float(match[1]) * units[match[2]]
