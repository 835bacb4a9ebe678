"""The track record: how often the usual scan was right about networks that nobody tuned it on, kind by kind of backdoor.

The numbers come from the part `report` of the zoo (docs/zoo.md) and lie beside the reference networks.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field

from trojancam.evaluation.statistics import share_interval
from trojancam.records import Record

OF_TESTS = (
    "Thresholds and reference networks come from other networks than these. So these rates tell more of a new network than "
    "those of the reference networks do."
)


class Counted(Record):
    """So many of so many."""

    count: int
    of: int

    def in_words(self) -> str:
        """The count and its 95 % interval (Wilson).

        >>> Counted(count=4, of=5).in_words()
        '4 of 5 (38 to 96 %)'
        """
        low, high = share_interval(self.count, self.of, "wilson")
        return f"{self.count} of {self.of} ({100 * low:.0f} to {100 * high:.0f} %)"


class TrackRecord(Record):
    """How many planted backdoors a scan found with the right class, by kind, and how many clean networks it called
    backdoored or left inconclusive.

    `methods` are those that decided.
    """

    version: Literal[1] = 1
    methods: tuple[str, ...] = ()
    found: Annotated[
        dict[str, Counted],
        Field(description="By kind of backdoor: how many were found, with the right class."),
    ] = Field(default_factory=dict)
    alarms: Annotated[Counted, Field(description="Clean networks that were called backdoored.")] = Counted(
        count=0, of=0
    )
    doubts: Annotated[
        Counted | None,
        Field(description="Clean networks of which the verdict was inconclusive; null where nobody counted them."),
    ] = None

    def in_words(self) -> list[str]:
        """Sentences for people; none where nothing was counted.

        >>> TrackRecord(found={"blend": Counted(count=3, of=4)}, alarms=Counted(count=1, of=9)).in_words()[0]
        'Of backdoors that were planted in test networks, such a scan found with the right class: blend 3 of 4 (30 to 95 %).'
        """
        if not self.found:
            return []
        kinds = ", ".join(f"{kind} {counted.in_words()}" for kind, counted in self.found.items())
        return [
            f"Of backdoors that were planted in test networks, such a scan found with the right class: {kinds}.",
            f"Of clean test networks, it called backdoored: {self.alarms.in_words()}.",
            *([f"Of the same, it left inconclusive: {self.doubts.in_words()}."] if self.doubts else []),
            OF_TESTS,
        ]


@cache
def own_track_record() -> TrackRecord:
    """That of this package."""
    text = files("trojancam.detection").joinpath("reference", "track-record.json").read_text(encoding="utf-8")
    return TrackRecord.model_validate_json(text)
