"""What `trojancam stimulate` writes."""

from typing import Any, Literal

from pydantic import Field

from trojancam.records import Rate
from trojancam.report.documents.document import Document, Part


class Answered(Part):
    """What a network answers to one image."""

    predicted_class: int
    predicted_name: str
    logit: float = Field(description="Of the target class.")


class StimulatedImage(Part):
    """One image before and after."""

    label: int
    label_name: str
    before: Answered
    after: Answered


class Doses(Part):
    """The stimulation at growing strength: a list for each strength, with a number for each image."""

    strengths: list[float] = Field(description="Multiples of the value asked for.")
    logits: list[list[float]]
    predicted_classes: list[list[int]]
    energy_inside: list[list[Rate]] = Field(
        description="Of the heat map, in the stimulated cells; null where it is blank."
    )
    stimulation_asr: list[Rate]


class Stimulate(Document):
    """`trojancam stimulate`."""

    command: Literal["stimulate"]
    settings: dict[str, Any]
    fingerprint: str
    stimulations: list[dict[str, Any]] = Field(description="As `Stimulation.to_json` gives them.")
    largest_clean_activations: list[float] = Field(description="Of the layer's feature maps, on these images.")
    target_class: int
    target_name: str
    stimulation_asr: Rate
    logit_change: float = Field(description="Mean over the images.")
    images: list[StimulatedImage]
    remarks: list[str]
    figures: list[str]
    doses: Doses | None = Field(description="Null where the stimulation has no strength.")
    seconds: float
