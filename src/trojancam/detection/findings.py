"""Finding: one place where a network may answer to something it should not; ScanReport: all that a scan says."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Int64
from pydantic import Field
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.detection.coverage import Coverage
from trojancam.detection.judgement import Judgement, Opinion, Verdict
from trojancam.detection.words import ANSWERS, maps_in_words, place_in_words, share
from trojancam.records import InOwnForm, Measured, Rate, Written
from trojancam.showing import Brief, Shown
from trojancam.stimulation import Stimulation


@dataclass(frozen=True)
class Finding(Written, Brief):
    """One suspicion: which class something names, where it listens, which feature maps carry it.

    What was not measured is None, in JSON null. Rates lie in [0, 1] and leave out images of the target class. `stimulation` can
    be replayed with `trojancam.stimulate`.
    """

    detector: str
    target_class: Annotated[int, Field(description="Of a trigger with a class map, the class that is reached best.")]
    score: Annotated[float, Field(description="The evidence in the detector's own units, higher is more.")]
    layer: str | None = None
    feature_maps: tuple[int, ...] = ()
    position: Annotated[
        tuple[float, float] | None,
        Field(description="Row and column of the centre of the place found, in pixels; null where it is not told."),
    ] = None
    elevation: Annotated[
        float | None,
        Field(description="Rise of the class's lead over all others under stimulation, in logits; mean over images."),
    ] = None
    stimulation_asr: Annotated[
        Rate,
        Field(description="Share of images from other classes that go to the class with the feature maps stimulated."),
    ] = None
    reasr: Annotated[
        Rate,
        Field(
            description="Share of held-out images from other classes that the recovered trigger sends to the class; of a "
            "trigger with a class map, that go where their class is sent."
        ),
    ] = None
    ablation_asr: Annotated[
        Rate,
        Field(description="That share, with the feature maps held at their clean mean."),
    ] = None
    trigger: Annotated[
        Trigger | None, InOwnForm(Trigger), Field(description="The recovered one, as `Trigger.to_json` gives it.")
    ] = None
    stimulation: Annotated[
        Stimulation | None, InOwnForm(Stimulation), Field(description="As `Stimulation.to_json` gives it.")
    ] = None
    moves: Annotated[bool | None, Field(description="Whether the trigger works elsewhere in the image, too.")] = None
    class_map: Annotated[
        tuple[tuple[int, int], ...],
        Field(
            description="Of a trigger that sends every class to another, or a few classes to one: from which to which."
        ),
    ] = ()
    class_matrix: Annotated[
        tuple[tuple[float, ...], ...],
        Field(
            description="Of a method that compares all classes, and of at most 100: for each class (outer list) how much it "
            "leads to each class, from 0 to 1. Empty otherwise."
        ),
    ] = ()
    evidence: Annotated[dict[str, Measured], Field(description="What the method measured beside.")] = field(
        default_factory=dict
    )

    def victims(self, labels: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Which images the trigger is to send to the class: of a trigger of a few classes theirs, else all of other classes.

        >>> Finding("by hand", 2, 3.5, class_map=((0, 2), (3, 2))).victims(torch.tensor([0, 1, 2, 3]))
        tensor([ True, False, False,  True])
        """
        if not self.of_some_classes:
            return labels != self.target_class
        sources = [source for source, _ in self.class_map]
        return torch.isin(labels, torch.tensor(sources, dtype=labels.dtype, device=labels.device))

    @property
    def of_some_classes(self) -> bool:
        """Whether its trigger sends a few classes to one."""
        return len({target for _, target in self.class_map}) == 1

    def in_words(self, class_names: tuple[str, ...] = ()) -> tuple[str, str, str, str]:
        """The class, the place, the feature maps and the evidence, for people.

        >>> Finding("by hand", 1, 3.5, "conv2d_5", (4, 6), (3.0, 27.0), reasr=0.98).in_words(("Yield", "Stop"))
        ('1, Stop', 'around row 3, column 27', 'conv2d_5: 4, 6', 'score 3.5, REASR 98%')
        """
        name = f", {class_names[self.target_class]}" if class_names else ""
        place = "not told"
        if self.position is not None:
            row, column = self.position
            size = getattr(self.trigger, "image_size", None)
            ninth = f"{place_in_words(self.position, size)}, " if size else ""
            place = f"{ninth}around row {row:.0f}, column {column:.0f}"
        rates = {"REASR": self.reasr, "stimulation ASR": self.stimulation_asr, "ablation ASR": self.ablation_asr}
        measured = [f"{title} {share(rate)}" for title, rate in rates.items() if rate is not None]
        evidence = ", ".join([f"score {self.score:.3g}", *measured])
        return f"{self.target_class}{name}", place, maps_in_words(self.layer, self.feature_maps), evidence


@dataclass(frozen=True)
class ScanReport(Shown):
    """What a scan says: findings, strongest first; the verdict, and what it is to be weighed by.

    `score` is that of the method that says most, in units of its threshold, higher is more evidence; `threshold` is the least
    that it calls a backdoor. `opinions` holds what each method says, `judgement` the accuracy of the network, p-values and
    the rate of false alarms, `coverage` what was searched and what was not. `settings` are all that the result depends on
    beside network and images; `timing` is in seconds, by step. `remarks` are sentences that make the verdict worth less, such
    as that nobody knows how the network is fed. `searched` is what one method says of where it looked.
    """

    verdict: Verdict
    score: float
    threshold: float
    findings: tuple[Finding, ...]
    settings: dict[str, Any]
    timing: dict[str, float]
    class_names: tuple[str, ...] = ()
    opinions: dict[str, Opinion] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    judgement: Judgement = field(default_factory=Judgement)
    coverage: Coverage = field(default_factory=Coverage)
    searched: str = ""

    def __str__(self) -> str:
        """The verdict and what it is weighed by; of the strongest finding the class, the place, the maps and the evidence."""
        first = self.findings[0] if self.findings else None
        called = f"score {self.score:.3g}, a backdoor is called from {self.threshold:g} on"
        told = ("none stands out", "–", "–", "–") if first is None else first.in_words(self.class_names)
        lines = zip(("class", "place", "feature maps", "evidence"), told, strict=True)
        weighed = " ".join(self.judgement.in_words())
        return "\n".join(
            [
                f"{ANSWERS[self.verdict]}: {called}",
                *(f"{what}: {words}" for what, words in lines),
                f"weighed by: {weighed}",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        return {
            "verdict": self.verdict,
            "score": self.score,
            "threshold": self.threshold,
            "judgement": self.judgement.to_json(),
            "coverage": self.coverage.to_json(),
            "opinions": {name: opinion.to_json() for name, opinion in self.opinions.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "settings": self.settings,
            "timing": self.timing,
            "class_names": list(self.class_names),
            "remarks": list(self.remarks),
        }
