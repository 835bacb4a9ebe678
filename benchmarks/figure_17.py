"""The study's figure 17, as a figure and a number: stimulation makes a trigger's place visible on benign images.

A scan finds class, window and feature maps from some clean images. How strongly to stimulate, and in which layer to look,
is chosen on the same images, by whether Grad-CAM's peak lies in the stimulated window: nothing of the trigger is known.
Only then, on other images, is the peak compared with the trigger's true box.
"""

from pathlib import Path

from trojancam import figures
from trojancam.attacks.patch import Patch
from trojancam.data.image_set import Dataset
from trojancam.detection import scan
from trojancam.evaluation.localisation import chance_levels
from trojancam.network.network import Network
from trojancam_study.visible import choose, hits, picture, shown

SCANNED, SHOWN = 100, 500


def section(name: str, network: Network, dataset: Dataset, trigger: Patch, target: int, pictures: Path) -> str:
    """Scan a network, show its strongest finding on benign images, and compare with the truth, which comes in here."""
    images, labels = dataset.test.take(SCANNED + SHOWN, seed=17)
    report = scan(network, images[:SCANNED], labels[:SCANNED], "stimulation")
    finding = report.findings[0]
    other = labels != finding.target_class
    choice = choose(network, finding, images[:SCANNED][other[:SCANNED]])
    found = shown(network, choice, finding.target_class, images[SCANNED:][other[SCANNED:]])
    cell = network.layer(choice.layer).placement.cell
    clean, stimulated = (float(hits(maps, trigger.place, cell).mean()) for maps in (found.before, found.after))
    path = pictures / f"figure-17-{name}.png"
    figures.save(picture(found, choice, trigger.place), path, dpi=110)
    row, column = finding.position or (float("nan"), float("nan"))
    return "\n".join(
        [
            f"## Figure 17: the trigger of {name}, on benign images\n",
            f"`trojancam scan {name}.safetensors --data GTSRB --methods stimulation` says {report.verdict} "
            f"(score {report.score:.1f}, threshold {report.threshold:g}): "
            f"class {finding.target_class}{'' if finding.target_class == target else ' (wrong)'}, "
            f"row {row:.1f},",
            f"column {column:.1f}, {finding.layer}, feature maps {', '.join(map(str, finding.feature_maps))}.",
            f"They are stimulated {choice.strength:g} times as strongly as in the scan, and the rest of these maps is set "
            "to zero.",
            f"Then {float(found.moved.float().mean()):.3f} of {len(found.images)} benign test images of other classes "
            "go to the class.",
            f"On {stimulated:.3f} of them, Grad-CAM of {choice.layer} has its peak inside the trigger's true box, grown by "
            "one cell.",
            f"Without stimulation it is {clean:.3f}, for the same class; chance is "
            f"{chance_levels(trigger.place, cell).pointing:.3f}. Strength and layer were chosen",
            f"on the {SCANNED} images of the scan, by the stimulated window alone.\n",
            f"![Benign signs, and Grad-CAM before and after stimulation](images/{path.name})",
        ]
    )
