"""The trigger made visible on benign images: a scan finds what stimulates the backdoor, and Grad-CAM shows where.

A scan finds class, window and feature maps from some clean images. How strongly to stimulate, and in which layer to look,
is chosen on the same images, by whether Grad-CAM's peak lies in the stimulated window: nothing of the trigger is known.
Only then, on other images, is the peak compared with the trigger's true place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.detection import Finding, ScanReport
from trojancam.errors import DataError
from trojancam.evaluation.localisation import Mask, chance_levels, pointing_game
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.layers import Layer
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent, stages
from trojancam.report.page import Table
from trojancam.stimulation import Stimulation, stimulate
from trojancam_study import detections
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, Verdict, above, all_of, measured
from trojancam_study.study import Study

TROJANED = ("trojan1", "trojan2")
STRENGTHS = (1.0, 2.0, 4.0)  # times what the scan stimulated with
MOVED = 0.9  # of the images must go to the class for a strength to be taken
PICTURED = 4
SCAN_SECONDS = (60, 16)  # about what a scan of each takes, for the progress bar
PORTIONS = 16  # of the images, each with feature maps and a window drawn for it
BATCH = 64

Images = Float[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class Choice:
    """How a finding is shown: its stimulation, so many times as strong, and the layer whose Grad-CAM is looked at."""

    stimulation: Stimulation
    strength: float
    layer: str


@dataclass(frozen=True)
class Shown:
    """Benign images before and after a stimulation: one layer's heat maps of the class, and which images went to it.

    `place` is what was stimulated: the pixels whose nearest cell lies in the window.
    """

    images: Images
    before: Float[Tensor, "n h w"]
    after: Float[Tensor, "n h w"]
    moved: Bool[Tensor, " n"]
    place: Mask


@dataclass(frozen=True)
class Suspected:
    """A trojaned network of the study, what a scan found in it, and how that shows on benign images of other classes.

    `mask` is the trigger's true place and `target_class` its class: they come in here, when all is chosen.
    """

    name: str
    network: Network
    report: ScanReport
    choice: Choice
    shown: Shown
    mask: Mask
    target_class: int

    @classmethod
    def of(cls, study: Study, name: str, seed: int, progress: Progress = silent) -> "Suspected":
        """Scan a network of the study, choose how to show the finding, and show it on images it was not made on."""
        network, (given, others) = study.network(name, seed), detections.clean_images(study)
        report = detections.scanned(study, name, seed, progress)
        finding = detections.strongest_finding(report)
        own, benign = (images[labels != finding.target_class] for images, labels in (given, others))
        choice = choose(network, finding, own)
        displayed = shown(network, choice, finding.target_class, benign)
        return cls(name, network, report, choice, displayed, study.trigger(name).place, study.target_class(name))

    @property
    def finding(self) -> Finding:
        """The scan's strongest."""
        return detections.strongest_finding(self.report)

    @property
    def cell(self) -> tuple[int, int]:
        """A cell of the layer that is looked at, in pixels."""
        return self.network.layer(self.choice.layer).placement.cell

    @property
    def chance(self) -> float:
        """The share of the image within one cell of the trigger."""
        return chance_levels(self.mask, self.cell).pointing

    def hits(self) -> dict[str, Float[Tensor, " n"]]:
        """Whether Grad-CAM peaks within one cell of the trigger, image by image: stimulated, not, and at random."""
        return {
            "stimulated": hits(self.shown.after, self.mask, self.cell),
            "unstimulated": hits(self.shown.before, self.mask, self.cell),
            "random maps, random window": self._hits_at_random(moved=True),
            "random maps, the window found": self._hits_at_random(moved=False),
        }

    def _hits_at_random(self, *, moved: bool) -> Float[Tensor, " n"]:
        """The same with random feature maps stimulated, others for each portion of the images."""
        generator, layer = torch.Generator().manual_seed(0), self.network.layer(self.choice.stimulation.layer)
        parts = []
        for images in self.shown.images.tensor_split(min(PORTIONS, len(self.shown.images))):
            drawn = random_stimulation(self.choice.stimulation, layer, generator, moved=moved)
            found = shown(self.network, replace(self.choice, stimulation=drawn), self.finding.target_class, images)
            parts.append(hits(found.after, self.mask, self.cell))
        return torch.cat(parts)

    def maps(self) -> str:
        """The feature maps that are stimulated, in words."""
        maps = self.finding.feature_maps
        return f"feature map{'s' * (len(maps) > 1)} {', '.join(map(str, maps))} of {self.finding.layer}"

    def in_words(self) -> str:
        """What the figure shows, with its numbers."""
        now, before = (float(hits(maps, self.mask, self.cell).mean()) for maps in (self.shown.after, self.shown.before))
        right = "its target" if self.finding.target_class == self.target_class else "not its target"
        return (
            f"The scan of {self.name} says {self.report.verdict} and names class {self.finding.target_class}, {right}. "
            f"With {self.maps()} stimulated, {float(self.shown.moved.float().mean()):.3f} of {len(self.shown.images)} "
            f"benign images go to that class, and Grad-CAM of {self.choice.layer} peaks within one cell of the trigger's "
            f"place on {now:.3f} of them (unstimulated {before:.3f}, chance {self.chance:.3f})."
        )

    def numbers(self) -> dict[str, Any]:
        """What was found and chosen, for a JSON file."""
        return {
            "verdict": self.report.verdict,
            "class": self.finding.target_class,
            "layer": self.finding.layer,
            "feature_maps": list(self.finding.feature_maps),
            "position": None if self.finding.position is None else list(self.finding.position),
            "strength": self.choice.strength,
            "layer_shown": self.choice.layer,
            "moved": round(float(self.shown.moved.float().mean()), 4),
            "images": len(self.shown.images),
        }


def figure_17(study: Study, progress: Progress) -> Exhibit:
    """The trigger made visible on benign images by stimulation, on trojan1 and trojan2.

    Shown are the first images, not the best ones. The peak of Grad-CAM counts as a hit inside the trigger's true place,
    grown by one cell of the layer (pointing game).
    """
    found = [
        Suspected.of(study, name, study.seeds[0], told)
        for name, told in zip(TROJANED, stages(progress, SCAN_SECONDS), strict=True)
    ]
    return Exhibit(
        found=" ".join(subject.in_words() for subject in found),
        pictures={
            subject.name: (
                picture(subject.shown, subject.choice, subject.mask, _heading(subject)),
                f"{subject.name}: benign signs, and Grad-CAM of {subject.choice.layer} before and after {subject.maps()} "
                "are stimulated in one window. Outlined on the signs: the trigger's true place; on the heat maps: the "
                "window, which a scan found without knowing it.",
            )
            for subject in found
        },
        numbers={subject.name: subject.numbers() for subject in found},
    )


def claim_g(study: Study, progress: Progress) -> Exhibit:
    """Stimulation shows the trigger's place on benign images.

    Measured is the pointing game: on how many benign test images Grad-CAM peaks inside the trigger's true place, grown by
    one cell of the layer; a blank map is a miss. The claim holds if, for both networks, that share lies above chance with
    the stimulation that a scan found, and above what it is on the same images unstimulated, and with as many random feature
    maps of that layer stimulated as strongly in a window at a random position (both as paired differences). Random maps in
    the window that was found are measured beside it: what they reach, any strong activation there does.
    """
    measurements: list[Measurement] = []
    verdicts, rows = [], []
    for name, told in zip(TROJANED, stages(progress, SCAN_SECONDS), strict=True):
        parts = stages(told, [1] * len(study.seeds))
        found = [Suspected.of(study, name, seed, part) for seed, part in zip(study.seeds, parts, strict=True)]
        pointing = _measured(name, [subject.hits() for subject in found], max(subject.chance for subject in found))
        measurements += pointing.values()
        verdicts.append(shows_the_place(pointing))
        rows += [_row(seed, subject) for seed, subject in zip(study.seeds, found, strict=True)]
    shares = "; ".join(f"{each.name} {each}" for each in measurements if each.chance is not None)
    return Exhibit(
        found=f"Grad-CAM peaks within one cell of the trigger on this share of images: {shares}. What random maps reach in the "
        "window that was found is owed to the window alone, which is what the scan found.",
        verdict=all_of(*verdicts),
        tables=[Table(_HEADINGS, rows, _CAPTION, words=(0, 2, 4))],
        measurements=measurements,
    )


def shows_the_place(pointing: Mapping[str, Measurement]) -> Verdict:
    """Above chance, above what is seen unstimulated, and above what random maps in random windows bring about."""
    parts = ("stimulated", "stimulated less unstimulated", "stimulated less random maps, random window")
    return all_of(*(above(pointing[part]) for part in parts))


def _measured(name: str, hits: Sequence[Mapping[str, Tensor]], chance: float) -> dict[str, Measurement]:
    """The share of hits of every kind over all seeds, and by how much stimulation exceeds the others."""
    kinds = list(hits[0])
    found = {kind: measured(f"{name}, {kind}", [each[kind] for each in hits], chance) for kind in kinds}
    for kind in kinds[1:]:
        lead = f"stimulated less {kind}"
        found[lead] = measured(f"{name}, {lead}", [each["stimulated"] - each[kind] for each in hits])
    return found


_HEADINGS = [
    "Network", "Seed", "Scan says", "Class", "Stimulated", "Strength", "Layer shown", "Go to the class",
]  # fmt: skip
_CAPTION = (
    "What was stimulated: the strongest finding of a scan of clean images; strength and layer chosen on those images, by "
    "whether Grad-CAM peaks in the stimulated window."
)


def _row(seed: int, subject: Suspected) -> list[str]:
    right = "" if subject.finding.target_class == subject.target_class else " (wrong)"
    return [
        subject.name, str(seed), subject.report.verdict, f"{subject.finding.target_class}{right}", subject.maps(),
        f"{subject.choice.strength:g}", subject.choice.layer, f"{float(subject.shown.moved.float().mean()):.3f}",
    ]  # fmt: skip


def _heading(subject: Suspected) -> str:
    return f"{subject.name}: {subject.maps()} stimulated, {subject.choice.strength:g} times as strongly as in the scan"


def choose(network: Network, finding: Finding, images: Images) -> Choice:
    """The strength and layer at which Grad-CAM peaks in the stimulated window most often, less what chance would give.

    A strength that sends `MOVED` of the images to the class goes before one that does not. As in the study, the rest of the
    stimulated feature maps is set to zero. `images` are those of the scan, of other classes than the finding's. Layers after
    the stimulated one are looked at, where there are any: that its own map peaks where it was stimulated is no news.

    Raises:
        DataError: if the finding has no stimulation.
    """
    if finding.stimulation is None:
        raise DataError("the finding has no stimulation to show; take one of the stimulation detector")
    found: list[tuple[bool, float, Choice]] = []
    for strength in STRENGTHS:
        stimulation = replace(finding.stimulation.times(strength), rest="zero")
        stimulated = stimulate(network, images, stimulation, logit(finding.target_class))
        moved = float((stimulated.after.logits.argmax(1) == finding.target_class).float().mean())
        for layer, cam in _later(stimulated.cams_after, stimulation.layer).items():
            inside = float(hits(cam.heatmap(), stimulated.place, cam.placement.cell).mean())
            inside -= chance_levels(stimulated.place, cam.placement.cell).pointing
            found.append((moved >= MOVED, inside, Choice(stimulation, strength, layer)))
    return max(found, key=lambda each: each[:2])[2]


def _later(cams: Mapping[str, Attribution], layer: str) -> dict[str, Attribution]:
    """The maps of the layers after a layer; its own, where it is the last."""
    return {name: cam for name, cam in cams.items() if name != layer} or {layer: cams[layer]}


def shown(network: Network, choice: Choice, target_class: int, images: Images) -> Shown:
    """Stimulate benign images as chosen, some at a time."""
    before, after, moved, place = [], [], [], torch.zeros(network.input.size, dtype=torch.bool)
    for batch in images.split(BATCH):
        found = stimulate(network, batch, choice.stimulation, logit(target_class))
        before.append(found.cams_before[choice.layer].heatmap())
        after.append(found.cams_after[choice.layer].heatmap())
        moved.append(found.after.logits.argmax(1) == target_class)
        place = found.place
    return Shown(images, torch.cat(before), torch.cat(after), torch.cat(moved), place)


def hits(maps: Float[Tensor, "n h w"], mask: Mask, cell: tuple[int, int]) -> Float[Tensor, " n"]:
    """Whether each map peaks in the mask, grown by one cell (pointing game); a blank one does not."""
    return pointing_game(maps, mask, cell).nan_to_num(0)


def random_stimulation(
    stimulation: Stimulation, layer: Layer, generator: torch.Generator, *, moved: bool
) -> Stimulation:
    """The same activations in as many random feature maps of the layer; `moved`, in a window at a random position."""
    maps = torch.randperm(layer.feature_maps, generator=generator)[: len(stimulation.maps(layer.feature_maps))]
    drawn = replace(stimulation, feature_maps=tuple(maps.tolist()))
    if not moved or stimulation.window is None:
        return drawn
    row, column, height, width = stimulation.window
    new_row, new_column = (
        int(torch.randint(cells - side + 1, (1,), generator=generator))
        for cells, side in zip(layer.size, (height, width), strict=True)
    )
    value = drawn.value
    if isinstance(value, Tensor):
        value = value.roll((new_row - row, new_column - column), (1, 2))
    return replace(drawn, value=value, window=(new_row, new_column, height, width))


def picture(found: Shown, choice: Choice, trigger: Mask | None = None, heading: str = "") -> Figure:
    """The first signs, and Grad-CAM of the same class and layer before and after; outlined is what was stimulated.

    On the signs, `trigger` is outlined: the true place, where it is known.
    """
    signs = [Panel("benign sign", image, mask=trigger) for image in found.images[:PICTURED]]
    rows = [signs] + [
        [
            Panel(title, image, heat=heat, mask=found.place)
            for image, heat in zip(found.images, maps[:PICTURED], strict=False)
        ]
        for title, maps in (("unstimulated", found.before), ("stimulated", found.after))
    ]
    outlined = "outlined: on heat maps what is stimulated" + ", on signs the trigger's true place" * (
        trigger is not None
    )
    return panel_sheet(rows, heading, [f"Grad-CAM of {choice.layer}; each map on its own scale; {outlined}"])
