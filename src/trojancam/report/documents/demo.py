"""What `trojancam demo` writes."""

from typing import Literal

from pydantic import Field

from trojancam.detection.judgement import Verdict
from trojancam.network.card import ModelCard
from trojancam.records import Rate
from trojancam.report.documents.document import Document, Part, Share
from trojancam.report.documents.maps import MapNumbers
from trojancam.tasks.demo_repair import Rates


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


class DemoScan(Part):
    """What a scan says of one of the networks."""

    verdict: Verdict
    score: float
    threshold: float
    target_class: int | None = Field(description="Of the strongest finding.")
    layer: str | None
    feature_maps: list[int]
    seconds: float


class DemoRemoval(Part):
    """Scans of both networks, and the repair of the trojaned one."""

    scans: dict[str, DemoScan] = Field(description="Of the networks, by name, and of the one that was repaired.")
    verdict: Literal["repaired", "not repaired"] | None = Field(description="Null where nothing was repaired.")
    reason: str = Field(description="Why nothing was repaired.")
    before: Rates
    after: Rates | None
    recovered_before: Rate = Field(description="Success of the recovered trigger on images that were held back.")
    recovered_after: Rate
    layer_maxima: dict[str, float] = Field(description="Largest value of each layer's heat map after the repair.")


class Demo(Document):
    """`trojancam demo`."""

    command: Literal["demo"]
    networks: dict[str, ModelCard] = Field(description="What each model file says of itself.")
    fingerprints: dict[str, str]
    example: DemoExample
    trigger: DemoTrigger
    trigger_energy: TriggerEnergy
    removal: DemoRemoval | None = Field(description="Null where there are not enough images for a scan.")
    seconds: float
