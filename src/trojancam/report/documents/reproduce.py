"""What `trojancam reproduce` writes."""

from typing import Any, Literal

from pydantic import Field

from trojancam.report.documents.document import Document, Part


class Measurement(Part):
    """A number over several trainings and images, with its interval over both."""

    name: str
    mean: float
    low: float
    high: float
    by_seed: list[float]
    count: int
    unit: str
    chance: float | None


class PieceTable(Part):
    """A table as the page has it."""

    headings: list[str]
    rows: list[list[str]]
    caption: str
    words: list[int]
    sortable: bool = False


class PiecePicture(Part):
    """A picture as the page has it."""

    file: str
    caption: str
    shows_images: bool


class Piece(Part):
    """A figure, a table or a claim of the study."""

    name: str
    key: str = Field(description="Of all that it depends on.")
    title: str
    said: str = Field(description="What the study said.")
    found: str = Field(description="What was found here.")
    verdict: Literal["agrees", "disagrees", "cannot tell"] | None
    measurements: list[Measurement]
    numbers: dict[str, Any]
    tables: list[PieceTable]
    pictures: list[PiecePicture]
    files: list[str]
    seconds: float
    trainings: dict[str, float] = Field(description="Seconds, by network.")


class Reproduce(Document):
    """`trojancam reproduce`."""

    command: Literal["reproduce"]
    data: str
    seeds: list[int]
    scale: dict[str, Any]
    pieces: dict[str, Piece]
