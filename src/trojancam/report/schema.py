"""Schema: what `results.json` and `scan.json` hold, command by command; `docs/results-schema.md` is made from it.

The version rises when a field goes, or comes to mean something else; fields that are new leave it as it is.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from trojancam.network.card import ModelCard
from trojancam.records import Record

Share = Annotated[float, Field(ge=-1e-6, le=1 + 1e-6)]
Rate = Share | None
Cells = tuple[int, int]


class Part(Record):
    """A part of a document; it can be read by the names of the JSON alone."""

    model_config = ConfigDict(populate_by_name=True)


class Document(Part):
    """What every file begins with."""

    results_version: Literal[1] = Field(description="The version of this form.")
    versions: dict[str, str] = Field(description="Of TrojanCAM, of what it builds on, and the system.")


class MapNumbers(Part):
    """The feature maps of a layer on one image: every list has a number for each map, in order."""

    weight: list[float] = Field(description="`w_k`.")
    contribution: list[float] = Field(description="The sum of the cells of `w_k A^k`.")
    peak: list[float] = Field(description="The largest cell drawn; of either sign, if the maps are signed.")
    energy: list[Rate] | None = Field(
        None, description="Share of the map's energy in the trigger, grown by a cell; null where the map is blank."
    )
    stimulation_asr: list[Rate] | None = Field(
        None, description="Share of images turned with this map stimulated; null where that was not measured."
    )


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


class Interval(Part):
    """A mean over images and its 95 % bootstrap interval; null where it is undefined."""

    mean: float | None
    low: float | None
    high: float | None
    images: int


class Behind(Interval):
    """How far a method is behind the best one, paired by image."""

    p_value: float = Field(description="Sign-flip test, corrected by Holm.")


class Winner(Part):
    """Who wins under a metric."""

    winner: str | None = Field(description="Null if none is significantly better than every other.")
    best: str
    tied: list[str]
    behind_the_best: dict[str, Behind]
    sentence: str


class Reliability(Part):
    """How far the metrics agree with themselves and with one another."""

    between_images: dict[str, float | None] = Field(description="Krippendorff's alpha, by metric.")
    between_methods: dict[str, float | None] = Field(description="Mean Spearman correlation, by metric.")
    between_metrics: dict[str, float | None] = Field(description="Mean Spearman correlation, by method.")


class Randomised(Part):
    """A method's maps as the network's weights are shuffled, module by module."""

    steps: list[dict[str, Any]] = Field(
        description="`module`, and the `correlation` with the original maps, an interval."
    )
    sentence: str


class Compare(Document):
    """`trojancam compare`: of metrics, then of methods (or layers, then methods)."""

    command: Literal["compare"]
    settings: dict[str, Any]
    images: int
    over_layers: dict[str, dict[str, Interval]]
    by_layer: dict[str, dict[str, dict[str, Interval]]]
    verdicts: dict[str, Winner | None] = Field(description="Null where there are not two methods to compare.")
    verdicts_by_layer: dict[str, dict[str, Winner | None]]
    reliability: Reliability | None
    chance: dict[str, float] = Field(description="By `metric/layer`.")
    percentiles: list[float] = Field(description="Of the pixels removed, of the curves.")
    curves: dict[str, list[list[float]]] = Field(
        description="By `method/layer`: mean probabilities with the most, then with the least relevant pixels removed."
    )
    randomisation: dict[str, Randomised] | None = Field(None, description="With `--randomise`, by method.")
    seconds: float


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


class DemoExample(Part):
    """The image that the page shows."""

    label: int
    benign_prediction: int
    triggered_prediction: int
    layer_maxima: dict[str, dict[str, float]] = Field(description="Largest value of each layer's heat map, by view.")
    feature_maps: dict[str, MapNumbers] = Field(description="By layer; energies are means over the images measured.")


class DemoTrigger(Part):
    """The trigger."""

    name: str
    coverage: Share
    opacity: Share


class LayerEnergy(Part):
    """Mean shares of heat-map energy in the trigger."""

    layer: str
    chance: Share
    layer_map: Share
    blank: Share
    best: int = Field(description="The feature map that holds most of the trigger.")
    feature_maps: list[Share]
    blank_maps: list[Share]


class StrongMap(Part):
    """A feature map that holds much of the trigger."""

    layer: str
    feature_map: int
    energy: Share
    chance: Share
    blank: Share


class TriggerEnergy(Part):
    """Heat-map energy in the trigger, over so many images."""

    images: int
    layers: list[LayerEnergy]
    strongest: list[StrongMap] = Field(description="The feature maps that hold the trigger best, over all layers.")


class Demo(Document):
    """`trojancam demo`."""

    command: Literal["demo"]
    networks: dict[str, ModelCard] = Field(description="What each model file says of itself.")
    fingerprints: dict[str, str]
    example: DemoExample
    trigger: DemoTrigger
    trigger_energy: TriggerEnergy
    seconds: float


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


DOCUMENTS: dict[str, type[Document]] = {
    "scan": Scan,
    "explain": Explain,
    "compare": Compare,
    "stimulate": Stimulate,
    "demo": Demo,
    "reproduce": Reproduce,
}
