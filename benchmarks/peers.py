"""The packages people use today, on the same work and the same images, in turns with ours."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator

import torch
from tests.peers import grad_cam_package
from torch import Tensor, nn

from benchmarks.recording import IMAGES
from benchmarks.timing import Ratio, paired
from trojancam.architectures import architecture
from trojancam.attribution import attribute, grad_cam
from trojancam.data import rendered_signs
from trojancam.evaluation.road import PERCENTILES, road
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import probability

SIZE = (32, 32)
PACKAGES = ("captum", "grad-cam")


class Block(nn.Module):
    """Two 3x3 convolutions and a skip connection."""

    def __init__(self, inputs: int, maps: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(maps), nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
        self.skip = nn.Conv2d(inputs, maps, 1, stride, bias=False) if stride > 1 else nn.Identity()
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x))))) + self.skip(x))


def residual_network() -> nn.Module:
    """A ResNet of 20 convolutions for images of 32x32 pixels."""
    blocks = [Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1)]
    blocks += [Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1)]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 43))


def rows() -> Iterator[tuple[str, str, Ratio]]:
    """Work, package, and times: a ratio is theirs over ours, so more is better for us."""
    for name, module in (("trojan1", architecture("trojan1").build(43)), ("20-conv residual", residual_network())):
        network, images = _network(module), torch.rand(IMAGES, 3, *SIZE)
        ours = lambda n=network, i=images: grad_cam(record(n, i))  # noqa: E731
        yield f"all layers and feature maps, {name}", "captum", _times(ours, _captum(module, network, images))
        yield (
            f"all layers (theirs: only the mean of the layer maps), {name}",
            "grad-cam",
            _times(ours, _grad_cam(module, network, images)),
        )
    yield _road_row()
    yield _one_layer_row("ablation-cam", "AblationCAM")
    yield _one_layer_row("score-cam", "ScoreCAM")


def _network(module: nn.Module) -> Network:
    return Network.from_module(module.eval(), SIZE)


def _times(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = 5) -> Ratio:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return paired(theirs, ours, pairs=pairs, warm_up=1)


def _captum(module: nn.Module, network: Network, images: Tensor) -> Callable[[], object]:
    """Its LayerGradCam explains one layer at a time."""
    from captum.attr import LayerGradCam

    explainers = [LayerGradCam(module, module.get_submodule(name)) for name in _convolutions(module, network)]
    classes = network(images).argmax(1)
    return lambda: [explainer.attribute(images, classes, attr_dim_summation=False) for explainer in explainers]


def _grad_cam(module: nn.Module, network: Network, images: Tensor) -> Callable[[], object]:
    package = grad_cam_package()
    targets = [package.utils.model_targets.ClassifierOutputTarget(int(c)) for c in network(images).argmax(1)]
    layers = [module.get_submodule(name) for name in _convolutions(module, network)]

    def explain() -> object:
        with package.GradCAM(module, layers) as explainer:  # leaving takes its hooks away: they would slow what follows
            return explainer(images, targets)

    return explain  # all layers in one run, as it does best; it averages their maps into one


def _convolutions(module: nn.Module, network: Network) -> list[str]:
    """The modules that peers hook for the layers: the convolutions, for a hook cannot see past a functional activation."""
    convolutions = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == len(network.layers)
    return convolutions


def _road_row() -> tuple[str, str, Ratio]:
    module = architecture("trojan2").build(43)
    network, images = _network(module), rendered_signs(train=0, test=IMAGES).test.take(IMAGES)[0]
    maps, classes = grad_cam(record(network, images))["conv2d_6"].heatmap(), network(images).argmax(1)
    package = grad_cam_package()
    from pytorch_grad_cam.metrics.road import ROADCombined

    targets = [package.utils.model_targets.ClassifierOutputSoftmaxTarget(int(c)) for c in classes]
    metric, numbers = ROADCombined(percentiles=list(PERCENTILES)), maps.numpy()
    return (
        f"ROAD combined, {len(PERCENTILES)} percentiles, {IMAGES} images",
        "grad-cam",
        _times(
            lambda: road(network, images, maps, probability(classes)),
            lambda: metric(images, numbers, targets, module),
            3,
        ),
    )


def _one_layer_row(ours: str, theirs: str) -> tuple[str, str, Ratio]:
    module = architecture("trojan1").build(43)
    network, images = _network(module), torch.rand(16, 3, *SIZE)
    package = grad_cam_package()
    targets = [package.utils.model_targets.ClassifierOutputTarget(int(c)) for c in network(images).argmax(1)]
    explainer = getattr(package, theirs)(module, [module.get_submodule("relu_2")])
    return (
        f"{theirs}, one layer of 64 maps, 16 images",
        "grad-cam",
        _times(lambda: attribute(network, images, [ours], layers=["conv2d_2"]), lambda: explainer(images, targets), 3),
    )
