"""What `trojancam scan` writes."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trojancam.report.documents.document import Document, Part, Rate, Share
from trojancam.report.documents.maps import MapNumbers


class Opinion(Part):
    """What one method of scanning says."""

    verdict: Literal["backdoor", "inconclusive", "nothing found"]
    score: float
    threshold: float = Field(description="The least score that it calls a backdoor.")


class Finding(Part):
    """One suspicion; null is \"not measured\"."""

    detector: str
    target_class: int
    score: float
    layer: str | None
    feature_maps: list[int]
    position: tuple[float, float] | None = Field(description="Row and column, in pixels.")
    elevation: float | None = Field(description="Rise of the class's lead, in logits, under stimulation.")
    stimulation_asr: Rate
    reasr: Rate = Field(description="Share of images, which the recovered trigger was not made on, that it turns.")
    ablation_asr: Rate = Field(description="What is left of that with the feature maps held at their clean mean.")
    trigger: dict[str, Any] | None = Field(description="As `Trigger.to_json` gives it.")
    stimulation: dict[str, Any] | None = Field(description="As `Stimulation.to_json` gives it.")
    moves: bool | None = Field(description="Whether the trigger works elsewhere in the image, too.")
    class_map: list[tuple[int, int]] = Field(
        description="Of a trigger that sends every class to another: from which to which."
    )
    evidence: dict[str, float | None] = Field(description="What the method measured beside.")


class LayerView(Part):
    """How a layer's heat map shows the recovered trigger."""

    layer: str
    energy: Share
    chance: Share
    pointing: Share
    blank: Share
    with_mask: float | None = Field(description="Correlation with the recovered mask.")
    with_place: float | None = Field(description="Correlation with the place stimulated.")
    agreement: float | None


class PlaceView(Part):
    """How a layer's heat map shows the place stimulated, on clean images."""

    layer: str
    energy: Share
    chance: Share


class MapView(Part):
    """One feature map, stimulated by itself."""

    layer: str
    feature_map: int
    flagged: bool = Field(
        description="Whether the finding names it; otherwise a neighbour that shows the trigger better."
    )
    stimulation_asr: Rate
    prediction_value: float | None = Field(description="Mean logit of the class.")
    probability: Rate
    energy: Rate
    rank: int = Field(description="Among the maps of the layer, by energy, from 1.")


class Leads(Part):
    """The stimulation moved over its layer: by how much its class then leads."""

    rows: list[float]
    columns: list[float]
    lead: list[list[float]]


class Validation(Part):
    """What heat maps say of a finding."""

    finding: int = Field(description="Its place in `findings`.")
    images: int
    layers: list[LayerView]
    witness: str
    place_with_mask: float | None
    stimulated: list[PlaceView]
    flagged: list[MapView]
    neighbours: list[MapView]
    agreement: float | None
    leads: Leads | None = None


class Example(Part):
    """The clean image that a finding is shown on, with the recovered trigger."""

    finding: int = Field(description="Its place in `findings`.")
    label: int
    layer: str
    mask_share: Share = Field(description="The recovered mask's sum, as a share of the image.")
    feature_maps: MapNumbers


class Scan(Document):
    """`trojancam scan`, in `scan.json`."""

    file_name: ClassVar = "scan.json"

    command: Literal["scan"]
    options: dict[str, Any] = Field(description="Of the command: the model file, its hash, the data and the like.")
    fingerprint: str
    verdict: Literal["backdoor", "inconclusive", "nothing found"]
    score: float
    threshold: float
    confidence: Literal["high", "moderate", "low"]
    opinions: dict[str, Opinion]
    findings: list[Finding] = Field(description="The strongest first.")
    settings: dict[str, Any] = Field(description="All that the result depends on beside network and images.")
    timing: dict[str, float] = Field(description="Seconds, by step.")
    class_names: list[str]
    remarks: list[str] = Field(description="What makes the verdict worth less.")
    validations: list[Validation] = Field(description="Of the strong findings.")
    examples: list[Example] = Field(description="Of the same.")
