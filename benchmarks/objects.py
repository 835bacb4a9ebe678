"""Rendered objects: a sheet of them, a picture of docs/gallery.md, and how well a small residual network learns them.

    python -m benchmarks.objects [--epochs 20]

trains on 4,000 images of 64 pixels, prints the rate of the 2,000 test images that it gets right, and draws. With 0 epochs it
only draws.
"""

import argparse
import sys
from pathlib import Path

import torch
from PIL import Image

from benchmarks.zoo.networks import OF_64_PIXELS
from trojancam.data import render_objects, rendered_objects
from trojancam.data.rendered import OBJECT_NAMES
from trojancam.network.card import TrainingSettings
from trojancam.training.training import Task, train

SHEET = Path(__file__).parents[1] / "docs" / "images" / "rendered-objects.png"
SEED, SIDE = 21, 96
TRAINED, TESTED = 4_000, 2_000


def sheet() -> Image.Image:
    """Two objects of each class, class by class, in rows of ten."""
    images = render_objects([label for label in range(len(OBJECT_NAMES)) for _ in range(2)], SEED, SIDE).images
    rows = [torch.cat(list(row), dim=2) for row in images.split(10)]
    return Image.fromarray(torch.cat(rows, dim=1).permute(1, 2, 0).contiguous().numpy())


def learned(epochs: int) -> float:
    """The clean accuracy of a residual network on images that it has not seen."""
    network, data = OF_64_PIXELS["zoo-residual-64"], rendered_objects(TRAINED, TESTED)
    settings = TrainingSettings(epochs=epochs, batch_size=64, learning_rate=2e-3)
    torch.manual_seed(0)
    module = network.build(len(OBJECT_NAMES))
    task = Task(data.train, data.test, network.input, data=data.source)
    return train(module, task, settings, progress=_told).clean_accuracy


def _told(done: int, total: int, note: str = "") -> None:
    print(f"\r{done} of {total} {note}", end="", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Draw, and train unless there is nothing to train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args(arguments).epochs
    sheet().quantize(128).save(SHEET, optimize=True)  # photographs fill a file that keeps every colour
    if epochs:
        print(
            f"clean accuracy {learned(epochs):.3f} ({TRAINED} training images, {epochs} epochs, {TESTED} test images)"
        )


if __name__ == "__main__":
    main()
