"""The study's figure 17, as a figure and a number: stimulation makes a trigger's place visible on benign images.

A scan finds class, window and feature maps from some clean images. How strongly to stimulate, and in which layer to look,
is chosen on the same images, by whether Grad-CAM's peak lies in the stimulated window: nothing of the trigger is known.
Only then, on other images, is the peak compared with the trigger's true box.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.data.image_set import Dataset
from trojancam.detection import Finding, scan
from trojancam.evaluation.localisation import chance_levels, pointing_game
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network import Network
from trojancam.stimulation import Stimulated, Stimulation, stimulate
from trojancam.targets import logit
from trojancam.triggers import Trigger

SCANNED, SHOWN = 100, 500
PICTURED = 5
STRENGTHS = (1.0, 2.0, 4.0)  # times what the scan stimulated with
MOVED = 0.9  # of the images must go to the class for a strength to be taken


@dataclass(frozen=True)
class Choice:
    """How a finding is shown: its stimulation, so many times as strong, and the layer whose Grad-CAM is looked at."""

    stimulation: Stimulation
    strength: float
    layer: str


def section(name: str, network: Network, dataset: Dataset, trigger: Trigger, target: int, pictures: Path) -> str:
    """Scan a network, show its strongest finding on benign images, and compare with the truth, which comes in here."""
    images, labels = dataset.test.take(SCANNED + SHOWN, seed=17)
    report = scan(network, images[:SCANNED], labels[:SCANNED])
    finding = report.findings[0]
    other = labels != finding.target_class
    choice = _choice(network, finding, images[:SCANNED][other[:SCANNED]])
    benign, classes = images[SCANNED:][other[SCANNED:]], labels[SCANNED:][other[SCANNED:]]
    found = stimulate(network, benign, choice.stimulation, logit(finding.target_class))
    cell = network.layer(choice.layer).placement.cell
    clean, stimulated = (
        float(_peaks(each[choice.layer].heatmap(), trigger.support, cell))
        for each in (found.cams_before, found.cams_after)
    )
    path = pictures / f"figure-17-{name}.png"
    figures.save(_picture(found, benign, choice), path, dpi=110)
    chance = chance_levels(trigger.support, cell).pointing
    success = found.success_rate(finding.target_class, classes)
    return "\n".join(
        [
            f"## Figure 17: the trigger of {name}, on benign images\n",
            f"`trojancam scan {name}.safetensors --data GTSRB` says {report.verdict} (score {report.score:.1f}, threshold "
            f"{report.threshold:g}): class {finding.target_class}{'' if finding.target_class == target else ' (wrong)'}, "
            f"row {_place(finding)[0]:.1f},",
            f"column {_place(finding)[1]:.1f}, {finding.layer}, feature maps {', '.join(map(str, finding.feature_maps))}.",
            f"Stimulated {choice.strength:g} times as strongly as in the scan, the rest of these maps set to zero, they send "
            f"{success:.3f} of {len(benign)}",
            f"benign test images of other classes to the class. Grad-CAM of {choice.layer} then has its peak inside",
            f"the trigger's true box, grown by one cell, on {stimulated:.3f} of them (without stimulation, for the same class:",
            f"{clean:.3f}; chance: {chance:.3f}). Strength and layer were chosen on the {SCANNED} images",
            "of the scan, by the stimulated window alone.\n",
            f"![Benign signs, and Grad-CAM before and after stimulation](images/{path.name})",
        ]
    )


def _place(finding: Finding) -> tuple[float, float]:
    return finding.position or (float("nan"), float("nan"))


def _choice(network: Network, finding: Finding, images: Tensor) -> Choice:
    """The strength and layer at which Grad-CAM peaks in the stimulated window most often, less what chance would give.

    As in the study, the rest of the stimulated feature maps is set to zero.
    """
    if finding.stimulation is None:
        raise SystemExit("the finding has no stimulation to show")
    best: tuple[float, Choice] | None = None
    for strength in STRENGTHS:
        stimulation = replace(finding.stimulation.times(strength), rest="zero")
        found = stimulate(network, images, stimulation, logit(finding.target_class))
        moved = float((found.after.logits.argmax(1) == finding.target_class).float().mean())
        for layer, cam in found.cams_after.items():
            cell = network.layer(layer).placement.cell
            inside = float(_peaks(cam.heatmap(), found.place, cell)) - chance_levels(found.place, cell).pointing
            if (moved >= MOVED or best is None) and (best is None or inside > best[0]):
                best = inside, Choice(stimulation, strength, layer)
    if best is None:
        raise SystemExit("the finding's layer records nothing")
    return best[1]


def _peaks(maps: Tensor, mask: Tensor, cell: tuple[int, int]) -> Tensor:
    """How many maps peak in a grown mask; a blank one, or a mask that fills the image once grown, counts as a miss."""
    return pointing_game(maps, mask, cell).nan_to_num(0).mean()


def _picture(found: Stimulated, images: Tensor, choice: Choice) -> Figure:
    """Some signs, and Grad-CAM of the same class and layer before and after; outlined is what was stimulated."""
    before, after = (cams[choice.layer].heatmap() for cams in (found.cams_before, found.cams_after))
    signs = [Panel("benign sign", image) for image in images[:PICTURED]]
    rows = [signs] + [
        [
            Panel(title, image, heat=heat, mask=found.place)
            for image, heat in zip(images, heats[:PICTURED], strict=False)
        ]
        for title, heats in (("before", before), ("stimulated", after))
    ]
    return panel_sheet(rows, details=[f"Grad-CAM of {choice.layer}, {found.after.target}; outlined: stimulated"])
