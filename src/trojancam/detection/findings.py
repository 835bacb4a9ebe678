"""Finding: one place where a network may answer to something it should not; ScanReport: all that a scan says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trojancam.attacks.trigger import Trigger
from trojancam.detection.coverage import Coverage
from trojancam.detection.judgement import Judgement, Opinion, Verdict
from trojancam.detection.words import ANSWERS, maps_in_words, place_in_words, share
from trojancam.showing import Brief, Shown
from trojancam.stimulation import Stimulation


@dataclass(frozen=True)
class Finding(Brief):
    """One suspicion: which class something names, where it listens, which feature maps carry it, and how strongly.

    `score` is the evidence in the detector's own units, higher is more; `elevation` is by how much stimulation raises the
    lead of the target's logit over the greatest of the others, mean over images. `position` is the row and column, in
    pixels of the input, of the centre of the place found, None where the detector does not tell. Rates lie in [0, 1] and
    leave out images of the target class: `stimulation_asr` with the feature maps stimulated, `reasr` with the recovered
    `trigger` on images it was not made on, `ablation_asr` with it while the feature maps are held at their clean mean.
    `stimulation` can be replayed with `trojancam.stimulate`; `moves` says whether the trigger works elsewhere in the image,
    too. `class_map` is of a trigger that sends every class to another: where each one goes; `target_class` is then the one
    that is reached best, and `reasr` the share of images that go where their class is sent. None is "not measured".
    """

    detector: str
    target_class: int
    score: float
    layer: str | None = None
    feature_maps: tuple[int, ...] = ()
    position: tuple[float, float] | None = None
    elevation: float | None = None
    stimulation_asr: float | None = None
    reasr: float | None = None
    ablation_asr: float | None = None
    trigger: Trigger | None = None
    stimulation: Stimulation | None = None
    moves: bool | None = None
    class_map: tuple[tuple[int, int], ...] = ()
    evidence: dict[str, float] = field(default_factory=dict)

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

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        plain = asdict(replace(self, trigger=None, stimulation=None))
        parts = {"trigger": self.trigger, "stimulation": self.stimulation}
        return plain | {name: part.to_json() if part else None for name, part in parts.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Finding":
        """The finding that `to_json` wrote."""
        trigger = Trigger.from_json(record["trigger"]) if record["trigger"] else None
        stimulation = Stimulation.from_json(record["stimulation"]) if record["stimulation"] else None
        position = tuple(record["position"]) if record["position"] is not None else None
        class_map = tuple((source, target) for source, target in record.get("class_map", ()))
        settled = {"trigger": trigger, "stimulation": stimulation, "position": position, "class_map": class_map}
        return cls(**{**record, **settled, "feature_maps": tuple(record["feature_maps"])})


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
            "opinions": {name: asdict(opinion) for name, opinion in self.opinions.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "settings": self.settings,
            "timing": self.timing,
            "class_names": list(self.class_names),
            "remarks": list(self.remarks),
        }
