"""Architectures that people have: which open, what layers they have, and what recording them costs; docs/networks.md.

    python -m benchmarks.networks [--only REGEX] [--scan]

measures those whose name fits, each in a process of its own; the rows of the others stay as they are on the page.

Weights are random. timm and torchvision build theirs, where they are installed. Times are those of the processor,
in one thread, so that other work on the machine counts for little. `--scan` also scans the networks, which takes minutes.
"""

import argparse
import multiprocessing
import re
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from tests.peers import quiet, timm_models, torchvision_models
from torch import Tensor, nn

from benchmarks.markdown import table
from benchmarks.timing import Ratio, paired
from trojancam.architectures import ARCHITECTURES
from trojancam.attribution import METHODS, grad_cam
from trojancam.detection import scan
from trojancam.errors import ModelError
from trojancam.files import written_whole
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record

OUT = Path(__file__).parents[1] / "docs" / "networks.md"
CLASSES, IMAGES, PAIRS, SCANNED = 10, 4, 5, 40
OF_A_TRANSFORMER = ("attention-rollout", "legrad")
OF_TIMM = {
    "ResNet-18": ("resnet18", 224),
    "ResNet-50": ("resnet50", 224),
    "VGG-11, BatchNorm": ("vgg11_bn", 224),
    "DenseNet-121": ("densenet121", 224),
    "MobileNetV2": ("mobilenetv2_100", 224),
    "MobileNetV3, small": ("mobilenetv3_small_100", 224),
    "EfficientNet-B0": ("efficientnet_b0", 224),
    "ConvNeXt, atto": ("convnext_atto", 224),
    "ViT-Ti/16": ("vit_tiny_patch16_224", 224),
    "ViT-S/16": ("vit_small_patch16_224", 224),
    "DeiT-Ti/16": ("deit_tiny_patch16_224", 224),
    "Swin-T": ("swin_tiny_patch4_window7_224", 224),
    "MaxViT, pico": ("maxvit_rmlp_pico_rw_256", 256),
    "MLP-Mixer-S/32": ("mixer_s32_224", 224),
}
OF_TORCHVISION = {"SqueezeNet 1.1": ("squeezenet1_1", 224)}


@dataclass(frozen=True)
class Scanned:
    """What the default scan took: seconds of the processor, and the most memory that its process held, in gigabytes."""

    seconds: float
    gigabytes: float


@dataclass(frozen=True)
class Row:
    """One architecture: what builds it, and what was found."""

    name: str
    source: str
    size: int
    network: Network | None
    refusal: str = ""
    ratio: Ratio | None = None
    scanned: Scanned | None = None

    def cells(self) -> list[str]:
        opens = "yes" if self.network else f"no: {self.refusal}"
        if self.network is None:
            return [self.name, self.source, str(self.size), opens, *["–"] * 6]
        heads = [name for name in self.network.with_heads().layers if name not in self.network.layers]
        whole = all(METHODS[method].works_with(self.network) for method in OF_A_TRANSFORMER)
        attention = "all tokens" if whole else "of another kind" if self.network.attention.others else "none"
        ratio = "not measured" if self.ratio is None else f"{self.ratio.ratio:.2f}"
        megabytes = f"{(self.network.footprint.live + self.network.footprint.kept) / 2**20:.1f}"
        scanned = (
            ["not measured"] * 2
            if self.scanned is None
            else [_duration(self.scanned.seconds), f"{self.scanned.gigabytes:.1f}"]
        )
        layers = f"{len(self.network.layers)}" + (f" and {len(heads)} of heads" if heads else "")
        return [self.name, self.source, str(self.size), opens, layers, attention, ratio, megabytes, *scanned]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def builders() -> Iterator[tuple[str, str, InputSpecification, Callable[[], nn.Module]]]:
    for name, architecture in ARCHITECTURES.items():
        yield name, "trojancam", architecture.input, lambda made=architecture: made.build(CLASSES)
    for name, (made, size) in OF_TIMM.items():
        yield (
            name,
            "timm",
            InputSpecification(size=(size, size)),
            lambda made=made: timm_models().create_model(made, num_classes=CLASSES),
        )
    for name, (made, size) in OF_TORCHVISION.items():
        yield (
            name,
            "torchvision",
            InputSpecification(size=(size, size)),
            lambda made=made: getattr(torchvision_models(), made)(num_classes=CLASSES),
        )


def measured(name: str, source: str, specification: InputSpecification, module: nn.Module, scanning: bool) -> Row:
    """Opened, recorded and, where that was asked for, scanned."""
    size = specification.size[0]
    try:
        network = Network.from_module(module, specification=specification, name=name)
    except ModelError as error:
        return Row(name, source, size, None, str(error))
    images = torch.rand(IMAGES, 3, *specification.size)
    ratio = paired(
        lambda: grad_cam(record(network, images)), lambda: floor(module, network.inputs(images)), PAIRS, 1,
        clock=time.process_time,
    )  # fmt: skip
    scanned = None
    if scanning:
        started = time.process_time()
        scan(network, torch.rand(SCANNED, 3, *specification.size), torch.arange(SCANNED) % CLASSES)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        scanned = Scanned(time.process_time() - started, peak)
    return Row(name, source, size, network, "", ratio, scanned)


def cells_of(name: str, scanning: bool) -> list[str]:
    """The row of one architecture."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    _, source, specification, build = next(each for each in builders() if each[0] == name)
    with quiet():
        module = build().eval().requires_grad_(False)
    return measured(name, source, specification, module, scanning).cells()


def floor(module: nn.Module, inputs: Tensor) -> None:
    """A forward run of the module as it is, and a backward run to its input."""
    inputs = inputs.detach().requires_grad_()
    torch.autograd.grad(module(inputs).amax(1).sum(), inputs)


def text(rows: Mapping[str, list[str]]) -> str:
    """docs/networks.md, of the cells of each row by its name."""
    return "\n".join([HEAD, *table(COLUMNS, rows.values())]) + "\n"


def known() -> dict[str, list[str]]:
    """The rows of the page as it is, by name."""
    if not OUT.exists():
        return {}
    lines = [line for line in OUT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [line.strip("| ").split(" | ") for line in lines[2:]]
    return {row[0]: row + ["not measured"] * (len(COLUMNS) - len(row)) for row in rows}


COLUMNS = [
    "architecture", "built by", "pixels", "opens", "layers", "attention", "record ratio", "MB an image", "scan", "peak GB",
]  # fmt: skip
HEAD = f"""# Networks

Which architectures open, and what they cost, made by `python -m benchmarks.networks` with random weights and {CLASSES} classes.

- **layers**: feature maps of convolutions and of tokens; heads of attention are layers with `Network.with_heads()` or `--heads`.
- **attention**: attention rollout and LeGrad need attention of all tokens to all tokens in every block. AttnLRP and the CAM
  family work on every network here.
- **record ratio**: the time of recording all layers of {IMAGES} images with the contribution of every feature map, over a forward
  run of the module and a backward run to its input; the median of {PAIRS} pairs.
- **MB an image**: what one image takes while it is recorded. How many go through at a time follows from it and the memory budget.
- **scan**: time of one core for the default scan, {SCANNED} images. A network with random weights has nothing to find, so that
  no step ends early. Of images of more than 48 pixels the scan is [coarse](explanation/verdict.md#large-images).
  Where it says "not measured", nobody ran it yet.
- **peak GB**: the most memory that the process of the scan held, PyTorch and the library that built the network included.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only architectures in whose name this regular expression is found")
    parser.add_argument("--scan", action="store_true", help="also scan them; this takes minutes for each")
    arguments = parser.parse_args()
    rows, order = known(), [name for name, *_ in builders()]
    for name in order:
        if re.search(arguments.only, name):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context) as alone:  # so that the peak of memory is its own
                rows[name] = alone.submit(cells_of, name, arguments.scan).result()
            print(" | ".join(rows[name]), flush=True)
            with written_whole(OUT) as partial:  # what is measured stays, whatever becomes of the rest
                partial.write_text(text({each: rows[each] for each in order if each in rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
