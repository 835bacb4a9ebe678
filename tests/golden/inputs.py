"""The inputs of the golden figures: a network with a hand-made backdoor as a file, and class folders of images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tests.detection.planted import CLASSES, module, pictures

# All methods that there were then; those that came later would stand in the verdicts, too.
THEN = (
    "grad-cam,grad-cam++,hirescam,layercam,xgrad-cam,score-cam,ablation-cam,eigen-cam,gradient-x-activation,saliency,"
    "random,centre"
)
COMMANDS = {
    "explain": ["explain", "model.pt2", "data/test/class 2/2.png", "--feature-maps", "--preprocessing", "rgb-unit"],
    "stimulate": [
        *("stimulate", "model.pt2", "--data", "data", "--layer", "0", "--maps", "1", "--value", "2", "--unit", "layer"),
        *("--window", "1,8,3,3", "--images", "8", "--preprocessing", "rgb-unit"),
    ],
    "compare": [
        *("compare", "model.pt2", "--data", "data", "--methods", THEN, "--n", "12", "--randomise"),
        *("--preprocessing", "rgb-unit"),
    ],
    "scan": [
        *("scan", "model.pt2", "--data", "data", "--images", "36", "--methods", "stimulation,abs,neural-cleanse"),
        *("--preprocessing", "rgb-unit"),
    ],
}
RESULTS = {"scan": "scan.json"}
REFERENCE = (
    "p",
    "least_p",
    "references",
    "alarms",
    "alarm_rate",
    "reached",
    "methods",
)  # of a scan: of its clean networks
CHANGING = ("seconds", "timing", "results_version", *REFERENCE)
WORDS = ("verdict", "layer", "detector")


def write_inputs(folder: Path) -> None:
    """`model.pt2`, and `data` with the parts train and test of nine classes."""
    program = torch.export.export(
        module(True).eval(), (torch.zeros(2, 3, 12, 12),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    torch.export.save(program, folder / "model.pt2")
    for part, seed in (("train", 1), ("test", 0)):
        images, labels = pictures(6 * CLASSES, seed)
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            place = folder / "data" / part / f"class {label}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = image.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(place / f"{number}.png")


def numbers(document: Any, path: str = "") -> Iterator[tuple[str, float | bool | str]]:
    """Every number of a JSON document by its path, but for times; of its words, verdicts and the names of layers."""
    if isinstance(document, dict):
        for name, part in document.items():
            if name not in CHANGING and (not isinstance(part, str) or name in WORDS):
                yield from numbers(part, f"{path}/{name}")
    elif isinstance(document, list):
        for place, part in enumerate(document):
            if not isinstance(part, str):
                yield from numbers(part, f"{path}/{place}")
    elif document is not None:
        yield path, document
