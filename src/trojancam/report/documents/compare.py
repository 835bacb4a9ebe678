"""What `trojancam compare` writes."""

from typing import Any, Literal

from pydantic import Field

from trojancam.report.documents.document import Document, Part


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
