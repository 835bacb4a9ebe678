"""Scans: whole commands on the study's trojaned networks, Neural Cleanse beside them, and how the cost grows.

The networks are untrained: a scan runs the same number of stimulations and inversions whatever it finds.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks.commands import COMMAND, Run, run
from benchmarks.scaling import from_zero, plain
from benchmarks.timing import seconds
from trojancam.architectures import architecture
from trojancam.data.rendered import rendered_signs
from trojancam.detection import scan
from trojancam.detection.stimulation_maps.drive_levels import reach
from trojancam.detection.stimulation_maps.maps import stimulation_maps
from trojancam.detection.stimulation_maps.optimised import cost, optimised
from trojancam.detection.stimulation_maps.windows import windows
from trojancam.formats.safetensors import save_model
from trojancam.network.batches import parts
from trojancam.network.card import ModelCard
from trojancam.network.network import Network
from trojancam.network.replay import replay
from trojancam.training.recipe import initial_module

IMAGES = 12
VERDICTS = (0, 1, 3)  # exit codes of a scan that came to an end


def commands() -> Iterator[tuple[str, Run]]:
    """`trojancam scan` with stimulation maps, Artificial Brain Stimulation and the inversion of the best candidates."""
    for name in ("trojan2", "trojan1"):
        with tempfile.TemporaryDirectory() as folder:
            model = _model(name, Path(folder))
            arguments = [COMMAND, "scan", str(model), "--methods", "stimulation,abs", "--out", f"{folder}/scan"]
            yield name, run(arguments, expected=VERDICTS)


def against_neural_cleanse() -> tuple[float, float]:
    """Seconds of the stimulation detector and of Neural Cleanse over all classes of trojan2, one after the other."""
    chosen = architecture("trojan2")
    network = Network.from_module(initial_module(chosen, 43, seed=0).eval(), specification=chosen.input)
    images, labels = rendered_signs(train=43, test=100).test.take(100)
    ours, theirs = (
        seconds(lambda method=method: scan(network, images, labels, [method]))  # type: ignore[misc]
        for method in ("stimulation", "neural-cleanse")
    )
    return ours, theirs


def plot() -> Figure:
    """Seconds of stimulating a network, beside the same number of bare runs of the parts after its layers."""
    panels: dict[str, tuple[list[int], Callable[[int], tuple[float, float]]]] = {
        "layers": ([1, 2, 3, 4], lambda count: _cost(layers=count)),
        "feature maps of each layer": ([8, 16, 32, 64], lambda count: _cost(maps=count)),
        "pixels of a side": ([16, 32, 48, 64], lambda count: _cost(side=count)),
        "images": ([4, 8, 16, 32], lambda count: _cost(images=count)),
    }
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axes, (name, (counts, measure)) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        ours, bare = zip(*(measure(count) for count in counts), strict=True)
        axes.plot(counts, ours, marker="o", markersize=4, color="#0072b2", label="stimulating")
        axes.plot(counts, bare, marker="s", markersize=4, color="#8c9297", label="bare suffix, as many runs")
        from_zero(axes, name)
    figure.axes[0].set_ylabel("seconds")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def _cost(layers: int = 2, maps: int = 16, side: int = 32, images: int = IMAGES) -> tuple[float, float]:
    """Of a network of 3x3 convolutions with ten classes, all of whose layers are stimulated."""
    network = plain(layers, maps, side)
    batch = torch.rand(images, 3, side, side)
    both = [_of_layer(network, name, batch) for name in network.layers]
    return sum(ours for ours, _ in both), sum(bare for _, bare in both)


def _of_layer(network: Network, name: str, images: torch.Tensor) -> tuple[float, float]:
    """Seconds of both kinds of stimulation, and of as many unedited runs; a run with gradients counts as three."""
    layer = network.layer(name)
    replayed, grid = replay(network, name, images), windows(layer, network.input.size)
    variants = layer.feature_maps * (len(grid) + 1) + cost(grid, len(network.class_names))

    def stimulate() -> None:
        optimised(replayed, stimulation_maps(replayed, grid, reach(replayed.cut, images)))

    def bare() -> None:
        with torch.no_grad():
            copies = replayed.copies(min(variants, replayed.variants_at_once()))
            for chunk in parts(variants, len(copies)):
                copies.first(chunk.stop - chunk.start).logits()

    return seconds(stimulate), seconds(bare)


def _model(name: str, folder: Path) -> Path:
    chosen = architecture(name)
    names = tuple(f"class {number}" for number in range(43))
    path = folder / f"{name}.safetensors"
    save_model(
        path, initial_module(chosen, 43, seed=0), ModelCard(architecture=name, class_names=names, input=chosen.input)
    )
    return path
