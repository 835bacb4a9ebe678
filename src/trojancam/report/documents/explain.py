"""What `trojancam explain` writes."""

from typing import Any, Literal

from pydantic import Field

from trojancam.records import Rate
from trojancam.report.documents.document import Cells, Document, Part, Share
from trojancam.report.documents.maps import MapNumbers


class Contribution(Part):
    """One of a layer's strongest feature maps."""

    feature_map: int
    contribution: float


class ExplainedLayer(Part):
    """One layer on one image."""

    number_of_feature_maps: int
    cells: Cells = Field(description="Height and width of its maps.")
    maximum: float = Field(description="The largest cell of the layer's heat map.")
    maximum_over_the_image: float = Field(description="The same, of the map laid over the image.")
    strongest_feature_maps: list[Contribution]
    diagnoses: list[str] = Field(description="What makes the map say less than it seems to.")
    energy: Rate = Field(None, description="With a trigger: share of its energy in it, grown by a cell; null if blank.")
    chance: Share | None = Field(None, description="What a map of one value everywhere gets of that.")
    feature_maps: MapNumbers | None = Field(None, description="With `--feature-maps`.")


class WholeMap(Part):
    """The map of a method that explains the network as a whole, on one image."""

    maximum: float = Field(description="The largest value of the map, laid over the image.")
    diagnoses: list[str] = Field(description="What makes the map say less than it seems to.")
    energy: Rate = Field(None, description="With a trigger: share of its energy in it, grown by a cell; null if blank.")
    chance: Share | None = Field(None, description="What a map of one value everywhere gets of that.")


class ClassScore(Part):
    """A class and what the network says of it."""

    number: int = Field(alias="class")
    name: str
    logit: float
    probability: Share


class ExplainedImage(Part):
    """One image."""

    file: str
    predicted_class: int
    predicted_name: str
    explained_class: int
    explained_name: str
    logit: float = Field(description="Of the class explained.")
    probability: Share = Field(description="Of the class explained.")
    classes: list[ClassScore] = Field(description="Those with the greatest logits, the greatest first.")
    layers: dict[str, ExplainedLayer]
    whole: dict[str, WholeMap] | None = Field(None, description="With `--method`: by the name of the method.")
    figures: list[str] = Field(description="Files beside this one.")


class LayerShare(Part):
    """How much of a layer's energy lies in the trigger: the mean over the images, and what chance would give."""

    energy: Share
    chance: Share


class Explain(Document):
    """`trojancam explain`."""

    command: Literal["explain"]
    settings: dict[str, Any] = Field(
        description="Of the command: the model file, its hash, layers, scale and the like."
    )
    network: str
    fingerprint: str = Field(
        description="SHA-256 of what the network computes: its graph, its weights and what it is fed."
    )
    trigger: str | None = Field(description="The trigger that was stamped on the images.")
    trigger_energy: dict[str, LayerShare] | None = Field(description="By layer.")
    images: list[ExplainedImage]
    left_out: list[str] = Field(description="Files that could not be read, and why.")
    seconds: float
