"""Result: what became of one model, as a row of the table and as JSON; also of one that could not be judged."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from trojancam.faults import EVIDENCE, INCONCLUSIVE, NOTHING_FOUND
from trojancam.records import Written
from trojancam.showing import Brief

State = Literal["done", "refused", "deadline", "memory", "killed", "fault"]
NOT_JUDGED = "not judged"
UNKNOWN = 0.5  # the suspicion of what is not judged
DOUBT = ("inconclusive", NOT_JUDGED, "not repaired")


@dataclass(frozen=True)
class Result(Written, Brief):
    """What became of one model. Only `done` has a verdict of its own; all else is not judged, and `note` says why."""

    state: Annotated[
        State,
        Field(
            description="`done`; `refused`: the file is missing, damaged, hostile, or cannot be used so; `deadline` and "
            "`memory`: it took more than it may; `killed`: its process was ended by somebody else; `fault`: "
            "a fault of TrojanCAM or of the machine, such as a full disk."
        ),
    ]
    verdict: Annotated[
        str,
        Field(
            description="Of a scan its own; of `inspect` “opened”; of a repair “repaired”, “not repaired” or “nothing found”; "
            "of `compare` “compared”; else “not judged”."
        ),
    ] = NOT_JUDGED
    suspicion: Annotated[
        float,
        Field(
            description="s / (1 + s), where s is the score in units of its threshold: 0.5 at the threshold, and of what is "
            "not judged. It ranks networks; it is no probability."
        ),
    ] = UNKNOWN
    score: Annotated[float | None, Field(description="Of a scan, in units of the method's threshold.")] = None
    p_value: Annotated[
        float | None, Field(description="Of a scan: how few clean reference networks score as high.")
    ] = None
    target_class: Annotated[int | None, Field(description="The class of the strongest finding.")] = None
    class_name: Annotated[str | None, Field(description="Its name.")] = None
    place: Annotated[str | None, Field(description="Where the strongest finding lies, in words.")] = None
    method: Annotated[str | None, Field(description="The detector of the strongest finding, or the repair.")] = None
    accuracy: Annotated[float | None, Field(description="On the labelled images.")] = None
    architecture: Annotated[str | None, Field(description="What the network is called.")] = None
    parameters: Annotated[int | None, Field(description="How many numbers it has learned.")] = None
    format: Annotated[str | None, Field(description="Of the file.")] = None
    would_run: Annotated[
        str | None, Field(description="What a careless loader of the file would run; empty where that is nothing.")
    ] = None
    note: Annotated[str, Field(description="Why it is not judged, or what else is to be known.")] = ""
    page: Annotated[str | None, Field(description="The model's own page, below the folder of the fleet.")] = None
    seconds: Annotated[float | None, Field(description="How long it took.")] = None
    megabytes: Annotated[
        float | None, Field(description="The most memory that its process had, libraries included.")
    ] = None
    limit: Annotated[float | None, Field(description="The seconds or bytes that it exceeded.")] = None
    details: Annotated[dict[str, Any], Field(description="What else the task measured.")] = field(default_factory=dict)

    @property
    def lasting(self) -> bool:
        """Whether the same work would come to the same: then it is kept, and never done again."""
        return self.state in ("done", "refused", "deadline", "memory")


def exit_code(results: "list[Result]") -> int:
    """1 if there is evidence of a backdoor anywhere, else 3 if anything is inconclusive or not judged, else 0.

    >>> exit_code([Result("done", "nothing found"), Result("deadline")])
    3
    """
    said = {each.verdict for each in results}
    if "backdoor" in said:
        return EVIDENCE
    return INCONCLUSIVE if said & set(DOUBT) else NOTHING_FOUND


def suspicion(strength: float) -> float:
    """A score in units of its threshold as a number between 0 and 1, the threshold at one half.

    >>> suspicion(0.0), suspicion(1.0), suspicion(3.0)
    (0.0, 0.5, 0.75)
    """
    return max(0.0, strength) / (1 + max(0.0, strength))
