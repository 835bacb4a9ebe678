"""Timing two ways of doing one thing fairly: in turns, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Medians of both in seconds, and the median of the ratios pair by pair with its quartiles."""

    ours: float
    other: float
    ratio: float
    low: float
    high: float


def paired(
    ours: Callable[[], object],
    other: Callable[[], object],
    pairs: int = 15,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time both in turns; which goes first alternates."""
    for _ in range(warm_up):
        ours()
        other()
    times: list[tuple[float, float]] = []
    for turn in range(pairs):
        first, second = (ours, other) if turn % 2 else (other, ours)
        a, b = seconds(first, clock), seconds(second, clock)
        times.append((a, b) if turn % 2 else (b, a))
    ratios = sorted(a / b for a, b in times)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Ratio(statistics.median(a for a, _ in times), statistics.median(b for _, b in times), middle, low, high)


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started
