"""What a model file says about itself: its card, with how it was trained and poisoned, or the record of a saved network."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from trojancam.network.input import InputSpecification
from trojancam.records import Positive, Record

RECORD = "trojancam.json"  # what a saved network's record is called in its file


class TrainingSettings(Record):
    """How to train: AdamW, a short warm-up, then a cosine to zero.

    `augment` turns, shifts, scales and lights the images; `strongly` also hides parts, adds noise and changes colours.
    `adversarial` is the radius, in [0, 1] units of the largest change of a pixel, within which each batch is moved against
    the network by one step of its gradient before it is learned; 0 is none.
    """

    epochs: Annotated[int, Field(gt=0)] = 15
    batch_size: Annotated[int, Field(gt=1)] = 128
    learning_rate: Positive = 1.5e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    augment: bool | Literal["strongly"] = True
    adversarial: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = 0


class TrainingRecord(Record):
    """How a model was trained, and what it reached on the whole test set; rates of an attack are those of its first backdoor.

    `parent` names the model file, by the first digits of its SHA-256, whose weights the training began with.
    """

    data: str
    images: int
    settings: TrainingSettings
    parent: str | None = None
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


class BackdoorRecord(Record):
    """A backdoor that was planted: how, whose images its trigger turns into what, and what it reached on the test set.

    Triggers are in the form of `Trigger.to_json`. `target_class` is None where each class has a target of its own, that of
    `permutation` or the next class; `sources` are the classes whose images alone are turned; `settings` are those of the
    attack. `attack_success_rate`, `robust_accuracy` and `leak_rate` are those of `trojancam.rates`.
    """

    trigger: dict[str, Any]
    target_class: int | None
    poison_rate: float
    seed: int
    poisoned_images: int
    sources: tuple[int, ...] = ()
    permutation: tuple[int, ...] = ()
    clean_label: bool = False
    cover_rate: float = 0.0
    cover_images: int = 0
    cover_trigger: dict[str, Any] | None = None
    training_trigger: dict[str, Any] | None = None
    attack: str = "patch"
    settings: dict[str, Any] = Field(default_factory=dict)
    attack_success_rate: float | None = None
    robust_accuracy: float | None = None
    leak_rate: float | None = None


class ModelCard(Record):
    """What a model file says about itself: enough to rebuild, feed and judge the network."""

    format_version: Literal[1] = 1
    architecture: str
    class_names: Annotated[tuple[str, ...], Field(min_length=1)]
    input: InputSpecification
    training: TrainingRecord | None = None
    backdoors: tuple[BackdoorRecord, ...] = ()
    made_by: str = ""

    @property
    def poisoning(self) -> BackdoorRecord | None:
        """The first backdoor, None where there is none."""
        return self.backdoors[0] if self.backdoors else None

    @model_validator(mode="before")
    @classmethod
    def _of_one_backdoor(cls, record: Any) -> Any:
        """Cards once told of one backdoor at most, as `poisoning`."""
        if isinstance(record, dict) and "poisoning" in record:
            record = dict(record)
            told = record.pop("poisoning")
            record.setdefault("backdoors", () if told is None else (told,))
        return record


class NetworkRecord(Record):
    """What `Network.save` writes beside the graph: all that a network knows of itself and a graph does not say."""

    format_version: Literal[1] = 1
    name: Annotated[str, Field(max_length=200)]
    class_names: Annotated[tuple[str, ...], Field(min_length=1)]
    input: InputSpecification
    vouched: bool
    card: ModelCard | None = None
    made_by: str = ""
