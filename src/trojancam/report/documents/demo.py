"""What `trojancam demo` writes."""

from typing import Literal

from pydantic import Field

from trojancam.network.card import ModelCard
from trojancam.report.documents.document import Document, Part, Share
from trojancam.report.documents.maps import MapNumbers


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
