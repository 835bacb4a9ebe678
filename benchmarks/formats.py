"""Formats: every network in every format, its logits and the time to load it, against its framework.

    python -m benchmarks.formats

writes docs/formats.md.
"""

import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import trojancam
from benchmarks import classifiers, commands, large_images
from benchmarks.files import FORMATS, Example, Format, example
from benchmarks.recording import against_eager
from benchmarks.timing import Ratio, paired, seconds
from trojancam.network.network import Network
from trojancam.opening.open import load

OUT = Path(__file__).parents[1] / "docs" / "formats.md"
SIZE = 64  # of the images of networks that are not made for 32x32
IMAGES, MANY = 16, 64  # of that size, and of 32x32
PAIRS = (2, 5)  # of timings, for what takes long and what does not
BUDGET = 10.0  # seconds of ours that a cell may take
WITHIN, LOADING, RECORDING, MEGABYTES = 1e-4, 1.5, 1.25, 3000
TITLES = {
    "basic": "basic",
    "trojan1": "trojan1",
    "trojan2": "trojan2",
    "lenet": "LeNet-5, grey",
    "vgg": "VGG-11 with batch normalisation",
    "resnet": "ResNet-18",
    "mobilenet": "MobileNetV2",
    "densenet": "DenseNet, 4 blocks of 28 layers in all",
    "squeezenet": "SqueezeNet 1.1",
    "efficientnet": "EfficientNet-B0",
}


@dataclass(frozen=True)
class Cell:
    """A network in a format: the largest difference of a logit, and the time to load it."""

    difference: float
    loading: Ratio


def main() -> None:
    torch.manual_seed(0)
    cells = measured()
    text = "\n\n".join([_head(), _logits(cells), _loading(cells), _recording(), _memory()]) + "\n"
    print(text)
    OUT.write_text(text, encoding="utf-8")


def measured() -> dict[tuple[str, str], Cell]:
    """Every network in every format that can hold it."""
    cells: dict[tuple[str, str], Cell] = {}
    with TemporaryDirectory() as folder:
        for name in classifiers.NAMES:
            made = {framework: example(name, framework, small=False, size=SIZE) for framework in ("torch", "keras")}
            for kind, form in FORMATS.items():
                if name in form.only:
                    cells[name, kind] = _cell(made[form.framework], form, Path(folder) / f"{name}{form.suffix}")
                    print(name, kind, cells[name, kind], file=sys.stderr, flush=True)
    return cells


def _cell(made: Example, form: Format, path: Path) -> Cell:
    form.write(made, path)
    architecture = made.builder if form.needs_builder else None

    def ours() -> Network:
        return load(path, architecture=architecture, preprocessing=made.input)

    network: list[Network] = []
    once = seconds(lambda: network.append(ours()), time.process_time)
    fewest, most = PAIRS
    pairs = min(most, max(fewest, int(BUDGET / once)))
    loading = paired(ours, lambda: form.floor(made, path), pairs=pairs, warm_up=0, clock=time.process_time)
    return Cell(difference(network[0], made, form, path), loading)


def difference(network: Network, made: Example, form: Format, path: Path) -> float:
    """The largest difference between a logit of ours and one of the framework's own."""
    images = classifiers.blots(IMAGES, made.input.size, seed=2)
    with torch.no_grad():
        theirs = form.own(made, path)(made.input.normalise(images))
    return float((network(images) - theirs).abs().max())


def _head() -> str:
    names = ("torch", "onnx", "onnxruntime", "onnxscript", "keras", "h5py")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [
        "# Formats\n",
        "TrojanCAM reads every format exactly: logits differ by less than 1e-4 from those of the framework itself.\n",
        "Ten classifiers were written by their frameworks in every format that can hold them, and opened with `tc.load`. Those",
        "after LeNet-5 are as deep and wide as published, except for DenseNet. They have "
        f"{classifiers.CLASSES} classes and images of {SIZE}x{SIZE} pixels.",
        "Their weights are random. Their normalisations hold the statistics of a batch. Layers have the names that the author",
        "sees: PyTorch's modules, Keras's layers. `tests/test_contract.py` checks that on small networks, and that `record`,",
        "`stimulate` and `scan` work on each. Made by `python -m benchmarks.formats`.\n",
        f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, {packages},",
        f"trojancam {trojancam.__version__}.",
    ]
    return "\n".join(lines)


def _logits(cells: Mapping[tuple[str, str], Cell]) -> str:
    lines = [
        "## The same logits\n",
        f"The largest difference of any logit over {IMAGES} images (bound: {WITHIN:.0e}). An image's logits vary by about "
        f"{classifiers.SPREAD:g}. The other",
        "side is the framework's own run: eager PyTorch, onnxruntime, Keras on the backend of PyTorch. A dash means that the",
        "format is not for this network.\n",
        _table(cells, lambda cell: f"{cell.difference:.0e}" if cell.difference else "0"),
    ]
    return "\n".join(lines)


def _loading(cells: Mapping[tuple[str, str], Cell]) -> str:
    lines = [
        "## Loading\n",
        "The processor time of `tc.load`, divided by that of the framework's own loading and an export. It is the median of "
        f"{PAIRS[0]} to {PAIRS[1]}",
        f"ratios, measured in turns (bound: {LOADING}). Our seconds stand in brackets.\n",
        "The export is `torch.export.export` for any number of images, and `run_decompositions({})`. Both give the functional",
        "graph that a look into a network needs. Before it comes what the framework does with a file:\n",
        "- For weights: build the module, `torch.load(weights_only=True)` (safetensors: `load_file`), `load_state_dict`.",
        "- For exported programs: `torch.export.load`; its program is exported again.",
        "- For Keras: `keras.saving.load_model`.",
        "- For ONNX: onnxruntime makes a session, but exports nothing. The module that the file was made of is exported.\n",
        "`tc.load` also checks the file, and finds the layers and where their cells lie.\n",
        _table(cells, lambda cell: f"{cell.loading.ratio:.2f} ({cell.loading.ours:.1f})"),
    ]
    return "\n".join(lines)


def _table(cells: Mapping[tuple[str, str], Cell], shown: Callable[[Cell], str]) -> str:
    lines = ["| network | " + " | ".join(FORMATS) + " |", "|---" * (len(FORMATS) + 1) + "|"]
    for name, title in TITLES.items():
        row = (shown(cells[name, kind]) if (name, kind) in cells else "–" for kind in FORMATS)
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _recording() -> str:
    lines = [
        "## Recording\n",
        "`grad_cam(record(network, images))` computes every contribution of every layer. The floor is one eager forward and one",
        f"`autograd.grad` to the same activations (bound: {RECORDING}). There are {MANY} images of 32x32 pixels, or {IMAGES} of "
        f"{SIZE}x{SIZE}.\n",
        "| network | layers | ours, ms | floor, ms | ratio | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in TITLES.items():
        made = example(name, "torch", small=False, size=SIZE)
        network = Network.from_module(made.model, specification=made.input)
        images = classifiers.blots(IMAGES if made.input.size == (SIZE, SIZE) else MANY, made.input.size)
        row = against_eager(made.model, network, images)
        times = f"{row.ours * 1e3:,.1f} | {row.other * 1e3:,.1f}"
        lines.append(
            f"| {title} | {len(network.layers)} | {times} | {row.ratio:.2f} | {row.low:.2f} to {row.high:.2f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _memory() -> str:
    run, side = commands.run([sys.executable, "-m", "benchmarks.large_images"]), large_images.SIZE
    lines = [
        "## Memory\n",
        f"A process that opens ResNet-18 for {side}x{side} pixels, records all its layers on {large_images.IMAGES} images at "
        "once and computes all",
        f"contributions peaks at {run.megabytes:,.0f} MB (bound: {MEGABYTES:,}), in {run.seconds:.0f} s.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
