"""ModelCard: what a model file says about itself, with the records of how it was trained and poisoned."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trojancam.network.input import InputSpecification
from trojancam.records import Positive, Record


class TrainingSettings(Record):
    """How to train: AdamW, a short warm-up, then a cosine to zero."""

    epochs: Annotated[int, Field(gt=0)] = 15
    batch_size: Annotated[int, Field(gt=1)] = 128
    learning_rate: Positive = 1.5e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    augment: bool = True
    seed: int = 0


class TrainingRecord(Record):
    """How a model was trained, and what it reached on the whole test set."""

    data: str
    images: int
    settings: TrainingSettings
    clean_accuracy: float
    attack_success_rate: float | None = None
    robust_accuracy: float | None = None
    history: list[dict[str, float]] = Field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long its epochs took, as far as its history tells."""
        return sum(self.images / epoch["images_per_second"] for epoch in self.history if "images_per_second" in epoch)

    def in_words(self) -> str:
        """What it reached, for people."""
        words = f"clean accuracy {self.clean_accuracy:.4f}"
        if self.attack_success_rate is not None:
            words += f", attack success rate {self.attack_success_rate:.4f}"
        if self.robust_accuracy is not None:
            words += f", robust accuracy {self.robust_accuracy:.4f}"
        return words


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
