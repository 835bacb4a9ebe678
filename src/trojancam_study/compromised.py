"""Compromised feature maps: those that detectors flag for the target, their rates, and how well they show the trigger."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.attribution import energy_in_mask, grad_cam
from trojancam.detection.success import ablation_asr
from trojancam.evaluation.localisation import Mask, dilated
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.progress import Progress, stages
from trojancam.rates import attack_success_rate
from trojancam.report.page import Table
from trojancam.stimulation import stimulated_logits
from trojancam_study import detections, shares
from trojancam_study.detections import ABS, Flag
from trojancam_study.exhibits import Exhibit
from trojancam_study.shares import Shares
from trojancam_study.study import SPEED_70, STRAIGHT_OR_RIGHT, Study

TROJANED = ("trojan1", "trojan2")
EARLY, DEEP = "conv2d_6", "conv2d_9"  # the layers of trojan2 that are shown where nothing is flagged


@dataclass(frozen=True)
class Compromised:
    """A flagged feature map: what it does by itself, what the trigger does without it, and how well it shows the trigger.

    `share` is the mean share of its own Grad-CAM energy in the grown trigger, `rank` its place by that among the layer's
    `maps`.
    """

    network: str
    by: str
    layer: str
    feature_map: int
    stimulation_asr: float
    prediction_value: float
    ablation_asr: float
    elevation: float | None
    share: float
    chance: float
    rank: int
    maps: int

    def row(self) -> list[str]:
        """The map for a table."""
        return [
            self.network, self.by, self.layer, str(self.feature_map), f"{self.stimulation_asr:.3f}",
            f"{self.prediction_value:.1f}", f"{self.ablation_asr:.3f}",
            "–" if self.elevation is None else f"{self.elevation:.1f}", f"{self.share:.3f}", f"{self.chance:.3f}",
            f"{self.rank} of {self.maps}",
        ]  # fmt: skip


def table_2(study: Study, progress: Progress) -> Exhibit:
    """The compromised feature maps of trojan1 and trojan2: layer, feature map, attack success rates, prediction value.

    Artificial Brain Stimulation (ABS) flags at most one map of a layer for the target class, a scan those of its strongest
    finding. Rates are over test images of other classes: `stimulation ASR` is the share that goes to the target with that map
    alone stimulated as the detector did (ABS: replaced by a constant; scan: in a window), prediction value the target's mean
    logit then; `ablation ASR` the share of triggered images that still go there with the map held at its clean mean.
    """
    seed = study.seeds[0]
    maps = []
    for name, told in zip(TROJANED, stages(progress, (3, 1)), strict=True):
        seen = shares.of_study(study, name, seed).layers
        maps += [
            _compromised(study, name, flag, seen[flag.layer]) for flag in detections.flags(study, name, seed, told)
        ]
    return Exhibit(
        found=_summary(maps),
        tables=[Table(_HEADINGS, [each.row() for each in maps], _CAPTION, words=(0, 1, 2))],
        numbers={"maps": [asdict(each) for each in maps]},
    )


def figure_13(study: Study, progress: Progress) -> Exhibit:
    """Trojan2 at the compromised map of the earliest layer that has one, on 'Speed limit (70km/h)'."""
    return _figure(study, EARLY, SPEED_70, progress)


def figure_14(study: Study, progress: Progress) -> Exhibit:
    """Trojan2 at the compromised map of the earliest layer that has one, on 'Go straight or right'."""
    return _figure(study, EARLY, STRAIGHT_OR_RIGHT, progress)


def figure_15(study: Study, progress: Progress) -> Exhibit:
    """Trojan2 at the compromised map of the deepest layer that has one, on 'Speed limit (70km/h)'."""
    return _figure(study, DEEP, SPEED_70, progress)


def figure_16(study: Study, progress: Progress) -> Exhibit:
    """Trojan2 at the compromised map of the deepest layer that has one, on 'Go straight or right'."""
    return _figure(study, DEEP, STRAIGHT_OR_RIGHT, progress)


_HEADINGS = [
    "Network", "Flagged by", "Layer", "Feature map", "Stimulation ASR", "Prediction value", "Ablation ASR", "Elevation",
    "Share in the trigger", "Chance", "Rank",
]  # fmt: skip
_CAPTION = (
    "Feature maps that are flagged for the target class: by ABS the strongest of each layer in which there is one, by a scan "
    "those of its strongest finding. Share in the trigger: of the map's own Grad-CAM energy, inside the trigger grown by one "
    "cell, on triggered test images; rank: by that, among the layer's maps."
)


def _compromised(study: Study, name: str, flag: Flag, seen: Shares) -> Compromised:
    """What the flagged map does, stimulated and ablated, over test images of other classes than the target."""
    network, target = study.network(name, study.seeds[0]), study.target_class(name)
    images, labels = study.test_images(name)
    logits = stimulated_logits(network, images, [flag.stimulation])[0]
    maps = (flag.feature_map,)
    return Compromised(
        network=name,
        by=flag.by,
        layer=flag.layer,
        feature_map=flag.feature_map,
        stimulation_asr=attack_success_rate(logits.argmax(1), labels, target),
        prediction_value=float(logits[:, target].mean()),
        ablation_asr=ablation_asr(network, study.trigger(name), images, labels, target, flag.layer, maps),
        elevation=flag.elevation,
        share=float(seen.feature_maps[:, flag.feature_map].mean()),
        chance=seen.chance,
        rank=seen.rank(flag.feature_map),
        maps=seen.feature_maps.shape[1],
    )


def _summary(maps: Sequence[Compromised]) -> str:
    """The table in a few sentences."""
    if not maps:
        return "No feature map was flagged for the target class."
    words = []
    for by in dict.fromkeys(each.by for each in maps):
        rates = [each.stimulation_asr for each in maps if each.by == by]
        whom = "ABS flags" if by == ABS else "The scans flag"
        noun = "feature map" if len(rates) == 1 else "feature maps"
        words.append(
            f"{whom} {len(rates)} {noun} for the target class; stimulated alone, a map sends {_range(rates)} of the test "
            "images to it."
        )
    least = min(maps, key=lambda each: each.ablation_asr)
    return " ".join(words) + (
        f" Holding {least.layer} map {least.feature_map} of {least.network} at its clean mean hinders the trigger most: it "
        f"still succeeds on {least.ablation_asr:.3f}."
    )


def _range(rates: Sequence[float]) -> str:
    low, high = f"{min(rates):.3f}", f"{max(rates):.3f}"
    return low if low == high else f"{low} to {high}"


def _shown(study: Study, name: str, layer: str, progress: Progress) -> Flag | None:
    """The flagged map of the earliest or the deepest layer that has one; None where nothing is flagged."""
    order = list(study.network(name, study.seeds[0]).layers)
    flags = detections.flags(study, name, study.seeds[0], progress)
    choose = min if layer == EARLY else max
    return choose(flags, key=lambda flag: order.index(flag.layer), default=None)


def _figure(study: Study, where: str, sign: int, progress: Progress) -> Exhibit:
    """A sign without and with the trigger, and the compromised map's own Grad-CAM of the target, with its logit beside."""
    name, seed = "trojan2", study.seeds[0]
    network, trigger, target = study.network(name, seed), study.trigger(name), study.target_class(name)
    flag = _shown(study, name, where, progress)
    layer = flag.layer if flag else where
    seen = shares.of_study(study, name, seed).layers[layer]
    feature_map = flag.feature_map if flag else seen.best()
    images = study.example(sign, network).expand(2, -1, -1, -1).clone()
    images[1] = trigger.apply(images[1:])[0]
    recording = record(network, images, logit(target), [layer])
    cam = grad_cam(recording)[layer]
    heat = cam.at_image_size(cam.contributions[:, [feature_map]])[:, 0]
    what = f"feature map {feature_map} of {layer}"
    view = BothSigns(network, images, heat, recording.logits, target, what, trigger.place)
    inside = energy_in_mask(heat, dilated(trigger.place, network.layer(layer).placement.cell)).nan_to_num(0)
    values, class_name = recording.scores.tolist(), network.class_names[sign]
    kind = f"compromised (flagged by {'ABS' if flag.by == ABS else 'a scan'})" if flag else "best (none is flagged)"
    return Exhibit(
        found=f"On “{class_name}” the logit of “{network.class_names[target]}” is {values[0]:.1f}, and {values[1]:.1f} with "
        f"the trigger, where {what} {_holds(float(inside[1]), heat[1])}. On average over triggered test images it holds "
        f"{float(seen.feature_maps[:, feature_map].mean()):.3f} (chance {seen.chance:.3f}), rank {seen.rank(feature_map)} of "
        f"{seen.feature_maps.shape[1]}.",
        pictures={
            "": (
                view.sheet(),
                f"Trojan2 at the {kind} feature map {feature_map} of {layer}, on “{class_name}”: what it contributes "
                "to the target's logit without and with the trigger, whose place is outlined. Its single feature map "
                "Grad-CAM is the red part: a map whose weight is below 0 has none.",
            )
        },
        numbers={
            "layer": layer,
            "feature_map": feature_map,
            "flagged_by": flag.by if flag else None,
            "target_logits": [round(value, 4) for value in values],
            "shares": [round(float(share), 4) for share in inside],
        },
    )


def _holds(share: float, heat: Float[Tensor, "h w"]) -> str:
    """What a feature map shows of the trigger on one image, in words."""
    if bool((heat > 0).any()):
        return f"holds {share:.3f} of its energy within a cell of it"
    return "speaks against that class, so that its own map is blank" if bool(heat.any()) else "is 0 everywhere"


_DETAILS = "one feature map's contribution to the target's logit; red: for it, blue: against it; each on its own scale"


@dataclass(frozen=True)
class BothSigns:
    """A sign without and with the trigger; what one feature map contributes on each, signed, and the logits."""

    network: Network
    images: Float[Tensor, "2 3 h w"]
    heat: Float[Tensor, "2 h w"]
    logits: Float[Tensor, "2 classes"]
    target_class: int
    what: str
    mask: Mask

    def sheet(self) -> Figure:
        """Benign and triggered side by side, each sign with the heat of the map beside it."""
        panels = []
        for number, kind in enumerate(("benign", "triggered")):
            image, scores = self.images[number], self.logits[number]
            predicted = figures.caption(scores, self.network.class_names)
            panels.append(Panel(f"{kind}: {predicted}", image, " ", mask=self.mask if kind == "triggered" else None))
            note = f"logit of the target {float(scores[self.target_class]):.1f}"
            panels.append(Panel(f"{kind}: {self.what}", image, note, self.heat[number], self.mask, signed=True))
        heading = f"trojan2, target: {self.network.class_names[self.target_class]}"
        return panel_sheet([panels], heading, [_DETAILS])
