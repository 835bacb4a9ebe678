"""What `trojancam sift` writes."""

from typing import Any, Literal

from pydantic import Field

from trojancam.report.documents.document import Document, Part, Share


class SiftMethod(Part):
    """One defence."""

    title: str
    source: str
    threshold: float = Field(description="The score above which an image is suspicious.")
    suspicious: int = Field(description="How many images are.")


class SiftScore(Part):
    """What one defence says of one image."""

    score: float | None = Field(description="The higher, the more suspicious; null if it is no finite number.")
    p_value: Share = Field(description="How often a clean image has such a score, or a higher one.")


class CleanedClass(Part):
    """What becomes of a suspicious image when the place that makes it so is filled in from around it."""

    share: Share = Field(
        description="Of the pixels that were filled in; 0 where nothing that was tried changes the class."
    )
    predicted_class: int
    predicted_name: str


class SiftedImage(Part):
    """One image."""

    file: str
    predicted_class: int
    predicted_name: str
    suspicious: bool = Field(description="To the first method.")
    methods: dict[str, SiftScore]
    cleaned: CleanedClass | None = Field(None, description="Of the first suspicious images, which are drawn.")


class Sift(Document):
    """`trojancam sift`."""

    command: Literal["sift"]
    settings: dict[str, Any]
    network: str
    fingerprint: str
    false_alarms: Share = Field(description="Among clean images, by the threshold.")
    clean_images: int = Field(description="Half of them is what methods learn from, half sets the thresholds.")
    suspicious: int
    methods: dict[str, SiftMethod] = Field(description="In the order asked for: the first decides.")
    images: list[SiftedImage]
    left_out: list[str] = Field(description="Files that could not be read, and why.")
    seconds: float
