"""Budget: how much time a scan may take, as seconds or as a share of what all its searches would, and which searches fit in."""

import math
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError
from trojancam.progress import Progress

TIMED, TIMES = 32, 6  # images, and how often at most, that the speed of a network is measured on
ENOUGH = 1.0  # seconds of measuring
LEAST = 4  # tries, for the first ones may wait for memory, or for other programs
PATIENCE = 5.0  # seconds, after which fewer tries will do
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}  # seconds


class BudgetSpentError(CannotSearchError):
    """The time of a scan was spent before a search ended: with more of it, or on a faster machine, it ends."""

    def __init__(self) -> None:
        super().__init__("the budget was spent before the search ended; give a longer one")


@dataclass(frozen=True)
class Budget:
    """Seconds, or a share of all searches (then `seconds` is None)."""

    seconds: float | None = None
    share: float = 1.0

    @classmethod
    def of(cls, given: "float | str | Budget") -> "Budget":
        """What somebody said: seconds as a number, `60`, or with a unit, `90s`, `10m`, `1h`, or a share, `50%`.

        Raises:
            DataError: if it is neither, or not above zero.

        >>> Budget.of("10m"), Budget.of("50%")
        (Budget(seconds=600.0, share=1.0), Budget(seconds=None, share=0.5))
        """
        if isinstance(given, Budget):
            return given
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%|[smh]?)\s*", str(given))
        number = float(match[1]) if match else 0.0
        if match is None or number <= 0 or (match[2] == "%" and number > 100):
            raise DataError(
                f"a budget is a number of seconds, such as 60, with a unit, such as 10m, or a share, such as 50%, not {given!r}"
            )
        return cls(share=number / 100) if match[2] == "%" else cls(number * UNITS[match[2]])

    def left_out(
        self, costs: Mapping[str, int | None], seconds_per_image: float, deciding: Collection[str] = ()
    ) -> dict[str, str]:
        """Which searches do not fit in, by name, each with the reason; where none does, the cheapest is tried all the same.

        Where none of those that are `deciding` fits in, the cheapest of these is tried.

        `costs` are images run through the network; of a search whose cost is None nobody knows, so that it is left out.

        >>> Budget(share=0.5).left_out({"a": 10, "b": 30, "c": 5}, 1.0)["b"]
        'it would take about 67% of the work, and the budget is 50%'
        """
        known = {name: cost for name, cost in costs.items() if cost is not None}
        whole, spent, found = sum(known.values()), 0, {}
        for name, cost in costs.items():
            if cost is None:
                found[name] = "how long it takes is not known, and there is a budget"
            elif self._holds(spent + cost, whole, seconds_per_image):
                spent += cost
            else:
                found[name] = self._too_much(cost, whole, seconds_per_image)
        needed = [name for name in costs if name in deciding] or list(costs)
        if all(name in found for name in needed):
            del found[min(needed, key=lambda name: known.get(name, math.inf))]
        return found

    def ends(self, now: float) -> float:
        """When its time is spent, if it begins now; a share has no end."""
        return math.inf if self.seconds is None else now + self.seconds

    def _holds(self, cost: int, whole: int, seconds_per_image: float) -> bool:
        return cost <= self.share * whole if self.seconds is None else cost * seconds_per_image <= self.seconds

    def _too_much(self, cost: int, whole: int, seconds_per_image: float) -> str:
        if self.seconds is None:
            return f"it would take about {cost / whole:.0%} of the work, and the budget is {self.share:.0%}"
        return f"it would take about {cost * seconds_per_image:.0f} s more, and the budget is {self.seconds:g} s"


def seconds_per_image(suspect: Suspect) -> float:
    """How long an image takes to run through the network, the best of several tries."""
    images = suspect.images[:TIMED]
    tries: list[float] = []
    while len(tries) < TIMES and sum(tries) < (PATIENCE if len(tries) < LEAST else ENOUGH):
        started = time.perf_counter()
        suspect.network(images).cpu()  # an accelerator is waited for
        tries.append(time.perf_counter() - started)
    return min(tries) / len(images)


def about(seconds: float) -> str:
    """A time that is known roughly, in words.

    >>> about(7.9), about(100.0), about(4000.0), about(9000.0)
    ('about 8 s', 'about 2 min', 'about 67 min', 'about 2.5 h')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"


def until(end: float, progress: Progress) -> Progress:
    """Progress that ends the work at a time of the monotonic clock: what is told later raises an error.

    Raises:
        BudgetSpentError: from the progress, once it is later.
    """

    def tell(done: int, total: int, note: str = "", /) -> None:
        if done < total and time.monotonic() > end:
            raise BudgetSpentError
        progress(done, total, note)

    return tell
