"""ModelCard: what a model file says about itself."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trojancam.training import TrainingRecord
from trojancam.types import InputSpecification, Record


class PoisoningRecord(Record):
    """How the training set was poisoned; the trigger is in the form of `Trigger.to_json`."""

    trigger: dict[str, Any]
    target_class: int
    poison_rate: float
    seed: int
    poisoned_images: int


class ModelCard(Record):
    """What a model file says about itself: enough to rebuild, feed and judge the network."""

    format_version: Literal[1] = 1
    architecture: str
    class_names: Annotated[tuple[str, ...], Field(min_length=1)]
    input: InputSpecification
    training: TrainingRecord | None = None
    poisoning: PoisoningRecord | None = None
    made_by: str = ""
