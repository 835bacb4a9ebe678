"""How the cost of a recording grows with layers, feature maps and images: a plot."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from benchmarks.timing import seconds
from trojancam.attribution import grad_cam
from trojancam.network.network import Network
from trojancam.network.recording import record


def plot() -> Figure:
    panels: dict[str, tuple[list[int], Callable[[int], float]]] = {
        "layers": ([2, 4, 8, 16], lambda count: _cost(layers=count)),
        "feature maps of each layer": ([8, 16, 32, 64], lambda count: _cost(maps=count)),
        "images": ([8, 16, 32, 64, 128], lambda count: _cost(images=count)),
    }
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, (name, (counts, cost)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axes.plot(counts, [1e3 * cost(count) for count in counts], marker="o", markersize=4, color="#0072b2")
        from_zero(axes, name)
    figure.axes[0].set_ylabel("ms, record and contributions")
    return figure


def _cost(layers: int = 4, maps: int = 16, images: int = 32) -> float:
    """The best of some runs of a network of 3x3 convolutions on images of 32x32 pixels."""
    network = plain(layers, maps)
    batch = torch.rand(images, 3, 32, 32)
    return min(seconds(lambda: grad_cam(record(network, batch))) for _ in range(7))


def plain(layers: int, maps: int, side: int = 32) -> Network:
    """A network of 3x3 convolutions that keep the size, and ten classes."""
    parts: list[nn.Module] = []
    for index in range(layers):
        parts += [nn.Conv2d(maps if index else 3, maps, 3, padding=1), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, 10)]
    return Network.from_module(nn.Sequential(*parts, *head), (side, side))


def from_zero(axes: Axes, name: str) -> None:
    """Both axes from 0, so that growth can be judged by eye."""
    axes.set_xlabel(name)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(color="#e3e6e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
