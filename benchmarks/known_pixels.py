"""Attribution methods on drawn cells whose telling pixels are known; docs/known-pixels.md.

    python -m benchmarks.known_pixels

A small network learns to tell the ten classes of `trojancam.evaluation.known_pixels`; then each method's maps are held against
the pixels that tell. It takes some minutes in one thread.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.markdown import table
from trojancam.architectures import architecture
from trojancam.attribution import INPUT, METHODS
from trojancam.data.image_set import ImageSet
from trojancam.evaluation.known_pixels import CLASS_NAMES, drawn, pixels_found
from trojancam.files import written_whole
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.training.training import Task, measure, train

OUT = Path(__file__).parents[1] / "docs" / "known-pixels.md"
LEARNT, JUDGED, ARCHITECTURE = 3000, 60, "vgg"
SETTINGS = TrainingSettings(epochs=10, augment=False, seed=5)


def images(count: int, seed: int) -> ImageSet:
    known = drawn(count, seed=seed)
    return ImageSet((known.images * 255).round().byte(), known.labels, CLASS_NAMES)


def trained() -> tuple[Network, float]:
    chosen = architecture(ARCHITECTURE)
    module = chosen.build(len(CLASS_NAMES))
    task = Task(images(LEARNT, 1), images(1000, 2), chosen.input, data="drawn cells")
    train(module, task, SETTINGS)
    accuracy = measure(module, task.test, chosen.input)["clean_accuracy"]
    network = Network.from_module(module.eval(), specification=chosen.input, class_names=CLASS_NAMES)
    return network, accuracy


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, accuracy = trained()
    names = [name for name, method in METHODS.items() if method.works_with(network)]
    found = pixels_found(network, drawn(JUDGED, seed=3), names)
    rows = []
    for name, by_layer in found.items():
        best = max(by_layer, key=lambda layer: by_layer[layer].energy)
        mean = sum(each.energy for each in by_layer.values()) / len(by_layer)
        one = by_layer[best]
        where = "pixels" if best == INPUT else best
        rows.append([name, f"{mean:.3f}", f"{one.energy:.3f}", f"{one.in_cell:.3f}", f"{one.auc:.3f}", where])
    rows.sort(key=lambda row: -float(row[2]))
    first = next(iter(next(iter(found.values())).values()))
    with written_whole(OUT) as partial:
        partial.write_text(text(rows, accuracy, first.images, first.chance, first.chance_in_cell), encoding="utf-8")


def text(rows: list[list[str]], accuracy: float, count: int, chance: float, in_cell: float) -> str:
    head = f"""# Known pixels

How well do heat maps find pixels that are known to tell the class? Cells of three shapes are drawn with no, one or two bright
spots, after Tjoa and Guan's synthetic data set; spots and tails are what tells. A network of the architecture
`{ARCHITECTURE}` learned {LEARNT} of them (accuracy {accuracy:.3f}). Judged are {count} other images that it gets right and that
have spots or a tail. An even map has {chance:.3f} of its energy in the telling pixels and {in_cell:.3f} in the cell.

Energy is the share of a map that lies in the telling pixels: the mean over all layers, and that of the layer with the most. The
columns behind are of that layer, too. Made by `python -m benchmarks.known_pixels`.
"""
    heads = ["method", "energy, mean of layers", "energy, best layer", "in the cell", "AUC", "best layer"]
    return "\n".join([head, *table(heads, rows)]) + "\n"


if __name__ == "__main__":
    main()
