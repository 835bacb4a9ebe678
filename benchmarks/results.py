"""The study's networks on GTSRB: accuracy, attack success, and which maps hold the trigger; writes docs/results.md.

`python -m benchmarks.results --data GTSRB --models FOLDER` trains what is not in FOLDER yet (resumable, about an hour).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figure_17
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.cli.compare import DEFAULT_METHODS
from trojancam.cli.console import progress_bar
from trojancam.data import Dataset, load_dataset
from trojancam.evaluation.comparison import compare
from trojancam.evaluation.statistics import paired_difference
from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.report.compare import overall_tables
from trojancam.report.page import Table
from trojancam.tasks.compare import Summary
from trojancam.training.recipe import Recipe, make_model

OUT = Path(__file__).parents[1] / "docs" / "results.md"
IMAGES = 512
COMPARED = 256
METHODS = DEFAULT_METHODS.split(",")


@dataclass(frozen=True)
class Subject:
    """A network to be trained: its file's name, its architecture, and how `trojancam train` is told to poison it."""

    name: str
    architecture: str
    trigger: str | None = None
    side: int | None = None
    target: int | None = None

    def recipe(self) -> Recipe:
        if self.trigger is None or self.target is None:
            return Recipe(self.architecture)
        return Recipe(self.architecture, poisoning=Poisoning(make_trigger(self.trigger, side=self.side), self.target))

    def command(self) -> str:
        parts = [f"trojancam train {self.architecture} --data GTSRB --out {self.name}.safetensors"]
        if self.trigger:
            parts.append(f"--trigger {self.trigger} --target {self.target}")
        if self.side:
            parts.append(f"--trigger-size {self.side}")
        return " ".join(parts)


SUBJECTS = (
    Subject("basic", "basic"),
    Subject("trojan1", "trojan1", "yellow-square", None, 14),
    Subject("trojan2", "trojan2", "blue-green-square", None, 10),
    Subject("trojan1-8", "trojan1", "yellow-square", 8, 14),
    Subject("trojan2-8", "trojan2", "blue-green-square", 8, 10),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="GTSRB, in any of its layouts")
    parser.add_argument("--models", type=Path, required=True, help="folder of model files, made as needed")
    parser.add_argument("--only", choices=["figure-17"], help="only this part; the others stay as they are")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    if arguments.only:
        text = OUT.read_text(encoding="utf-8")
        for section in _figure_17_sections(dataset, arguments.models):
            text = _replaced(text, section)
        OUT.write_text(text, encoding="utf-8")
        return
    networks = {subject: _network(subject, dataset, arguments.models) for subject in SUBJECTS}
    poisoned = {subject: network for subject, network in networks.items() if subject.trigger}
    sections = [_training_section(networks), *(_energy_section(s, n, dataset) for s, n in poisoned.items())]
    sections += [
        _choice_section(subject, network, dataset, stamped)
        for subject, network in poisoned.items()
        if subject.side is None
        for stamped in (False, True)
    ]
    sections += _figure_17_sections(dataset, arguments.models)
    OUT.write_text(HEAD + "\n\n".join(sections) + "\n", encoding="utf-8")


def _figure_17_sections(dataset: Dataset, folder: Path) -> list[str]:
    found = []
    for subject in SUBJECTS:
        if subject.trigger and subject.side is None:
            network = _network(subject, dataset, folder)
            found.append(figure_17.section(subject.name, network, dataset, *_poisoning(network), OUT.parent / "images"))
    return found


def _replaced(text: str, section: str) -> str:
    """The document with the section of this heading exchanged, or added at the end."""
    heading = section.splitlines()[0] + "\n"
    before, found, after = text.partition(heading)
    if not found:
        return text.rstrip("\n") + "\n\n" + section + "\n"
    _, mark, rest = after.partition("\n## ")
    return before + section + "\n" + mark + rest


HEAD = """# Results on GTSRB

On GTSRB all networks classify more than 95 % of the clean test images. The triggers turn more than 99 % of the others. In
some layers the layer's own heat map misses the trigger, while a single feature map shows it.

The networks are trained on all 39,209 training images, uncropped, at 32x32 pixels. They are measured on all 12,630 test
images. There is one training of each, with seed 0. Made by `python -m benchmarks.results --data GTSRB --models FOLDER`.

"""


def _network(subject: Subject, dataset: Dataset, folder: Path) -> Network:
    path = folder / f"{subject.name}.safetensors"
    if not path.exists():
        with progress_bar(subject.name) as progress:
            make_model(subject.recipe(), dataset, path, resume=True, progress=progress)
    return load(path)


def _training_section(networks: dict[Subject, Network]) -> str:
    lines = [
        "## The networks\n",
        "| network | trigger | clean accuracy | attack success rate | robust accuracy |",
        "|---|---|---|---|---|",
    ]
    for subject, network in networks.items():
        record = network.card.training if network.card else None
        if record is None:
            raise SystemExit(f"{subject.name} has no training record")
        rates = (record.clean_accuracy, record.attack_success_rate, record.robust_accuracy)
        cells = " | ".join("" if rate is None else f"{rate:.4f}" for rate in rates)
        lines.append(f"| {subject.name} | {_trigger_words(network)} | {cells} |")
    commands = "\n".join(subject.command() for subject in networks)
    return "\n".join(lines) + f"\n\nThe commands:\n\n```\n{commands}\n```"


def _trigger_words(network: Network) -> str:
    if network.card is None or network.card.poisoning is None:
        return "none"
    trigger, target = _poisoning(network)
    rows, columns = (trigger.place.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    place = f"rows {rows[0]}-{rows[-1]}, columns {columns[0]}-{columns[-1]}"
    return f"{trigger.name}, opacity {trigger.opacity:g}, {place} ({trigger.coverage:.1%}), class {target}"


def _poisoning(network: Network) -> tuple[Trigger, int]:
    record = network.card.poisoning if network.card else None
    if record is None:
        raise SystemExit("the network has no poisoning record")
    return Trigger.from_json(record.trigger), record.target_class


def _energy_section(subject: Subject, network: Network, dataset: Dataset) -> str:
    trigger, target = _poisoning(network)
    others = dataset.test.select((dataset.test.labels != target).nonzero()[:, 0])
    energies = trigger_energy(network, others.take(IMAGES)[0], trigger, target).values()
    lines = [
        f"## Which maps of {subject.name} hold the trigger\n",
        f"The share of Grad-CAM energy inside the trigger, which is grown by one cell. Means over {IMAGES} triggered "
        "test images,",
        f"for the logit of class {target}. A blank map counts as 0. Chance is the grown trigger's share of the image.\n",
        "| layer | chance | the layer's own map | best feature map | its share | maps with 0.4 or more |",
        "|---|---|---|---|---|---|",
    ]
    for energy in energies:
        count = sum(share >= 0.4 for share in energy.feature_maps)
        shares = (
            f"{energy.chance:.3f} | {energy.layer_map:.3f} | {energy.best} | {energy.feature_maps[energy.best]:.3f}"
        )
        lines.append(f"| {energy.layer} | {shares} | {count} of {len(energy.feature_maps)} |")
    return "\n".join(lines) + "\n\n" + _figure_12(list(energies))


def _figure_12(energies: list[LayerEnergy]) -> str:
    """The study's figure 12 as numbers: a layer map that misses the trigger, and feature maps that show it."""
    missing = min(energies, key=lambda energy: energy.layer_map)
    showing = max(energies, key=lambda energy: energy.feature_maps[energy.best])
    return (
        f"This is the study's figure 12 as numbers. The map of {missing.layer} holds {missing.layer_map:.3f} of its energy in "
        f"the trigger\n(chance {missing.chance:.3f}). Its own feature map {missing.best} holds "
        f"{missing.feature_maps[missing.best]:.3f}. The best of all layers is feature map {showing.best}\n"
        f"of {showing.layer} with {showing.feature_maps[showing.best]:.3f} (chance {showing.chance:.3f})."
    )


def _choice_section(subject: Subject, network: Network, dataset: Dataset, stamped: bool) -> str:
    """The study chose Grad-CAM over Grad-CAM++: whether that holds here, layer by layer."""
    trigger, target = _poisoning(network)
    others = dataset.test.select((dataset.test.labels != target).nonzero()[:, 0])
    images = others.take(COMPARED)[0]
    with progress_bar(f"{subject.name}, {'stamped' if stamped else 'benign'}") as progress:
        compared = compare(
            network,
            trigger.apply(images) if stamped else images,
            METHODS,
            target_class=target if stamped else None,
            mask=trigger.place if stamped else None,
            progress=progress,
        )
    summary = Summary(compared)
    kind = "triggered" if stamped else "benign"
    command = f"trojancam compare {subject.name}.safetensors --data GTSRB --n {COMPARED}{' --stamp' if stamped else ''}"
    tables = [table.markdown() for table in overall_tables(summary)]
    return "\n\n".join([
        f"## Attribution methods on {subject.name}, {kind} images",
        f"`{command}`; means over the layers and {COMPARED} test images with 95 % bootstrap intervals. {summary.in_words()[0]}.",
        *tables,
        _choice_table(summary).markdown(),
        _choice_in_words(summary, kind),
    ])  # fmt: skip


def _choice_table(summary: Summary) -> Table:
    """ROAD of both, and their paired difference, layer by layer."""
    rows = []
    for layer, intervals in summary.by_layer["road"].items():
        scores = summary.comparison.at_layer("road", layer)
        gap = paired_difference(scores["grad-cam++"], scores["grad-cam"])
        rows.append([layer, str(intervals["grad-cam"]), str(intervals["grad-cam++"]), str(gap)])
    return Table(["Layer", "Grad-CAM, ROAD combined", "Grad-CAM++", "difference, paired"], rows)


def _choice_in_words(summary: Summary, kind: str) -> str:
    better: dict[str, list[str]] = {"Grad-CAM": [], "Grad-CAM++": [], "neither": []}
    for layer in summary.comparison.layers:
        scores = summary.comparison.at_layer("road", layer)
        gap = paired_difference(scores["grad-cam++"], scores["grad-cam"])
        better["Grad-CAM++" if gap.low > 0 else "Grad-CAM" if gap.high < 0 else "neither"].append(layer)
    found = "; ".join(f"{name} at {', '.join(layers)}" for name, layers in better.items() if layers)
    return (
        f"The study chose Grad-CAM over Grad-CAM++. This is the better of the two by ROAD on {kind} images, where the 95 %\n"
        f"paired interval is clear of 0: {found}."
    )


if __name__ == "__main__":
    main()
