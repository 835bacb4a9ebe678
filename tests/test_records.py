"""What is written holds every field and what is derived of them; it is read again, and described as it is written."""

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from trojancam.records import Fraction, Measured, Written, derived


@dataclass(frozen=True)
class Counted(Written):
    """Some of all."""

    hits: int
    images: Annotated[int, Field(description="How many there are.")]
    loss: Measured = 0.0

    @property
    @derived
    def share(self) -> Fraction:
        """The share of hits."""
        return self.hits / self.images

    @derived
    def in_words(self) -> list[str]:
        """Sentences."""
        return [f"{self.hits} of {self.images}"]


@dataclass(frozen=True, kw_only=True)
class Named(Counted):
    """Some of all, with a name."""

    name: str


class Page(BaseModel):
    """Both kinds, in a document."""

    one: Counted | None
    several: list[Named]


WRITTEN = {"hits": 1, "images": 4, "loss": None, "share": 0.25, "in_words": ["1 of 4"]}


def test_what_is_derived_is_written_and_not_read() -> None:
    counted = Counted(1, 4, math.nan)
    assert counted.to_json() == WRITTEN
    again = Counted.from_json(json.loads(json.dumps(counted.to_json())))
    assert (again.hits, again.share, again.in_words()) == (1, 0.25, ["1 of 4"])
    assert (
        Counted.from_json(WRITTEN | {"share": 0.9}).share == 0.25
    )  # what was written beside the fields is not believed


def test_a_document_writes_reads_and_describes_it() -> None:
    page = Page(one=Counted(1, 4, math.nan), several=[Named(hits=2, images=4, name="b")])
    plain = page.model_dump(mode="json")
    assert plain["one"] == WRITTEN
    assert plain["several"] == [
        {"hits": 2, "images": 4, "loss": 0.0, "name": "b", "share": 0.5, "in_words": ["2 of 4"]}
    ]
    assert Page.model_validate(plain).several == page.several
    parts = Page.model_json_schema()["$defs"]
    assert set(parts) == {"Counted", "Named"}
    for name, record in (("Counted", plain["one"]), ("Named", plain["several"][0])):
        assert set(parts[name]["properties"]) == set(parts[name]["required"]) == set(record)
    assert parts["Named"]["properties"]["share"]["description"] == "The share of hits."
    assert parts["Counted"]["properties"]["images"]["description"] == "How many there are."


@pytest.mark.parametrize("record", [{"hits": 1}, WRITTEN | {"more": 1}, WRITTEN | {"hits": "many"}, 3])
def test_what_is_no_such_record_is_refused(record: Any) -> None:
    with pytest.raises(ValidationError):
        Page.model_validate({"one": record, "several": []})
