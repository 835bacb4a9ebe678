"""What `trojancam repair` writes."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trojancam.detection.findings import Finding
from trojancam.detection.judgement import Verdict
from trojancam.records import Fraction, Rate
from trojancam.report.documents.document import Document, Part, Share


class CountedShare(Part):
    """A share of so many images, with Wilson's interval of 95 %."""

    share: Rate
    low: Share
    high: Share
    images: int


class MeasuredAccuracy(Part):
    """Clean accuracy, over all images and of each class that has some, by its number."""

    overall: CountedShare
    of_class: dict[str, CountedShare]


class Trial(Part):
    """How a network answers to the triggers of one finding, on images that were held back."""

    target_class: int
    success: Rate = Field(description="Of the recovered trigger.")
    robust: Rate = Field(description="Share of images with it on that are recognised.")
    fresh: Rate = Field(description="Success rate of the strongest triggers that were looked for anew.")
    control: Rate = Field(description="The same for triggers with other target classes.")
    relatives: Rate = Field(
        description="The greatest success of relatives of triggers recovered from the network as it was."
    )


class Ruling(Part):
    """What the judge measured; `broken` are the rules that a repaired network would not break."""

    accuracy: Share
    images: int
    trials: list[Trial]
    broken: list[str]


class ScanSummary(Part):
    """What decides a scan."""

    verdict: Verdict
    score: float
    threshold: float


class ModuleChange(Part):
    """How far the weights of a module moved, as a share of their length."""

    module: str
    values: int
    change: float


class Reactivation(Part):
    """Success rates of the recovered trigger after the repair: what brings the backdoor back."""

    relearned: Rate = Field(description="After a fine-tuning on ten poisoned among 86 clean images.")
    pushed: Rate = Field(description="With one perturbation for all images on top, at most 0.05 a pixel.")
    push_alone: Rate = Field(description="Of such a perturbation without the trigger.")


class BoundedLayer(Part):
    """A layer whose feature maps were bounded."""

    layer: str
    feature_maps: int
    halved: int = Field(description="How many may reach less than half of what clean images reach without bounds.")
    share: Fraction = Field(description="The mean bound, as a share of what clean images reach without it.")


class TryRecord(Part):
    """One try of the method."""

    rung: str
    words: str
    ruling: Ruling


class CleanReference(Part):
    """The same measures of a network that is known to be clean."""

    accuracy: MeasuredAccuracy
    judged: Ruling
    reactivation: Reactivation


class RepairLedger(Part):
    """Before and after, and what is not known."""

    verdict: Literal["repaired", "not repaired"]
    method: str
    rung: str | None
    judged_before: Ruling
    judged_after: Ruling | None
    accuracy_before: MeasuredAccuracy
    accuracy_after: MeasuredAccuracy | None
    scan_before: ScanSummary
    scan_after: ScanSummary | None
    modules: list[ModuleChange]
    reactivation: Reactivation | None
    tries: list[TryRecord]
    seconds: dict[str, float]
    remarks: list[str]
    reference: CleanReference | None = Field(description="Null where no clean reference network was given.")
    bounds: list[BoundedLayer] = Field(default=[], description="Bounds that were put on activations, by layer.")
    fidelity: float | None = Field(
        default=None,
        description="Of the recovered trigger's success, the share that is gone, times the share of clean accuracy that is left.",
    )


class Repair(Document):
    """`trojancam repair`, in `repair.json`."""

    file_name: ClassVar = "repair.json"

    command: Literal["repair"]
    options: dict[str, Any] = Field(description="Of the command: the model file, its hash, the data and the like.")
    fingerprint: str = Field(description="Of the network that was to be repaired.")
    repaired_fingerprint: str | None = Field(description="Of the result; null where no try kept clean accuracy.")
    class_names: list[str]
    ledger: RepairLedger
    findings: list[Finding] = Field(description="What was to be removed, the strongest first.")
