"""Classifiers of the well-known kinds, written out once: as published, and small ones of the same structure for tests.

Weights are random, but no number is left at what a fresh network has: normalisations hold the statistics of a batch, and
logits differ from image to image.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trojancam.architectures import architecture, study_networks
from trojancam.network.input import InputSpecification

CLASSES = 10
SPREAD = 2.0  # the standard deviation of the logits
LIVED = 320  # images whose statistics the normalisations hold
HELD_OUT = 64  # others, by which the logits are scaled
SIDES = (2, 4, 8, 16)  # cells of colour in an image
Activation = Callable[[], nn.Module]
Stages = Sequence[tuple[int, int, int, int]]  # expansion, feature maps, repetitions, stride

MOBILENET_V2: Stages = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
EFFICIENTNET_B0: Stages = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 40, 2, 2), (6, 80, 3, 2), (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 1),
)  # fmt: skip
EFFICIENTNET_KERNELS = (3, 3, 5, 3, 5, 5, 3)
VGG_11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
SQUEEZENET_1_1 = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def lenet(classes: int = CLASSES) -> nn.Sequential:
    """LeNet-5 (LeCun et al. 1998): one grey channel, no padding, tanh, average pooling."""
    return nn.Sequential(
        OrderedDict(
            [
                ("c1", nn.Conv2d(1, 6, 5)),
                ("tanh1", nn.Tanh()),
                ("s2", nn.AvgPool2d(2)),
                ("c3", nn.Conv2d(6, 16, 5)),
                ("tanh3", nn.Tanh()),
                ("s4", nn.AvgPool2d(2)),
                ("c5", nn.Conv2d(16, 120, 5)),
                ("tanh5", nn.Tanh()),
                ("flatten", nn.Flatten()),
                ("f6", nn.Linear(120, 84)),
                ("tanh6", nn.Tanh()),
                ("output", nn.Linear(84, classes)),
            ]
        )
    )


def vgg(classes: int = CLASSES, stages: Sequence[Sequence[int]] = VGG_11, dense: int = 512) -> nn.Sequential:
    """VGG (Simonyan and Zisserman 2015) with batch normalisation, and global pooling before two dense layers."""
    parts: list[tuple[str, nn.Module]] = []
    inputs = 3
    for stage, widths in enumerate(stages, start=1):
        for number, maps in enumerate(widths, start=1):
            parts.append((f"conv{stage}_{number}", nn.Conv2d(inputs, maps, 3, padding=1)))
            parts.append((f"norm{stage}_{number}", nn.BatchNorm2d(maps)))
            parts.append((f"relu{stage}_{number}", nn.ReLU()))
            inputs = maps
        parts.append((f"pool{stage}", nn.MaxPool2d(2)))
    parts += [("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("dense1", nn.Linear(inputs, dense))]
    parts += [("relu", nn.ReLU()), ("dropout", nn.Dropout()), ("dense2", nn.Linear(dense, classes))]
    return nn.Sequential(OrderedDict(parts))


def unit(
    inputs: int, maps: int, kernel: int, stride: int = 1, groups: int = 1, activation: Activation | None = nn.ReLU
) -> nn.Sequential:
    """A convolution that keeps the size, up to its stride; its normalisation; and its activation, where it has one."""
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(inputs, maps, kernel, stride, kernel // 2, groups=groups, bias=False)),
        ("norm", nn.BatchNorm2d(maps)),
    ]
    return nn.Sequential(OrderedDict([*parts, *([("act", activation())] if activation else [])]))


class BasicBlock(nn.Module):
    """ResNet's block of two convolutions, around which its input is carried."""

    def __init__(self, inputs: int, maps: int, stride: int) -> None:
        super().__init__()
        self.first = unit(inputs, maps, 3, stride)
        self.second = unit(maps, maps, 3, activation=None)
        narrower = stride > 1 or inputs != maps
        self.downsample = unit(inputs, maps, 1, stride, activation=None) if narrower else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.second(self.first(x)) + self.downsample(x))


def resnet(classes: int = CLASSES, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2)) -> nn.Sequential:
    """ResNet-18 (He et al. 2016); `width` is the number of feature maps of its first stage."""
    parts: list[tuple[str, nn.Module]] = [("stem", unit(3, width, 7, 2)), ("pool", nn.MaxPool2d(3, 2, 1))]
    inputs = width
    for stage, times in enumerate(blocks):
        maps = width << stage
        first = BasicBlock(inputs, maps, 2 if stage else 1)
        rest = [BasicBlock(maps, maps, 1) for _ in range(times - 1)]
        parts.append((f"layer{stage + 1}", nn.Sequential(first, *rest)))
        inputs = maps
    return nn.Sequential(OrderedDict([*parts, *_head(inputs, classes)]))


class InvertedResidual(nn.Module):
    """Expand, convolve each feature map by itself, project; with a gate on the feature maps it is EfficientNet's MBConv."""

    def __init__(
        self, inputs: int, maps: int, stride: int, expansion: int, kernel: int, activation: Activation, gated: bool
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = unit(inputs, wide, 1, activation=activation) if expansion > 1 else nn.Identity()
        self.depthwise = unit(wide, wide, kernel, stride, groups=wide, activation=activation)
        self.gate = SqueezeExcitation(wide, max(1, inputs // 4)) if gated else nn.Identity()
        self.project = unit(wide, maps, 1, activation=None)
        self.carries = stride == 1 and inputs == maps

    def forward(self, x: Tensor) -> Tensor:
        changed = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + changed if self.carries else changed


class SqueezeExcitation(nn.Module):
    """A gate on each feature map, made of the means of all of them."""

    def __init__(self, maps: int, narrow: int) -> None:
        super().__init__()
        self.reduce, self.act = nn.Conv2d(maps, narrow, 1), nn.SiLU()
        self.expand, self.sigmoid = nn.Conv2d(narrow, maps, 1), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.sigmoid(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))


def _inverted(
    classes: int, stem: int, stages: Stages, kernels: Sequence[int], last: int, activation: Activation, gated: bool
) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [("stem", unit(3, stem, 3, 2, activation=activation))]
    inputs = stem
    for number, ((expansion, maps, times, stride), kernel) in enumerate(zip(stages, kernels, strict=True), start=1):
        blocks = []
        for place in range(times):
            blocks.append(
                InvertedResidual(inputs, maps, stride if place == 0 else 1, expansion, kernel, activation, gated)
            )
            inputs = maps
        parts.append((f"stage{number}", nn.Sequential(*blocks)))
    parts.append(("last", unit(inputs, last, 1, activation=activation)))
    return nn.Sequential(OrderedDict([*parts, *_head(last, classes)]))


def mobilenet(classes: int = CLASSES, stem: int = 32, stages: Stages = MOBILENET_V2, last: int = 1280) -> nn.Sequential:
    """MobileNetV2 (Sandler et al. 2018): inverted residuals, depthwise convolutions, ReLU6."""
    return _inverted(classes, stem, stages, (3,) * len(stages), last, nn.ReLU6, gated=False)


def efficientnet(
    classes: int = CLASSES,
    stem: int = 32,
    stages: Stages = EFFICIENTNET_B0,
    kernels: Sequence[int] = EFFICIENTNET_KERNELS,
    last: int = 1280,
) -> nn.Sequential:
    """EfficientNet-B0 (Tan and Le 2019): inverted residuals with SiLU, and squeeze and excitation."""
    return _inverted(classes, stem, stages, kernels, last, nn.SiLU, gated=True)


class DenseLayer(nn.Module):
    """Normalise, activate, convolve, twice; what comes out is put beside what came in."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.relu1, self.conv1 = nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1)
        self.norm2, self.relu2 = nn.BatchNorm2d(4 * growth), nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(self.relu1(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu2(self.norm2(narrow)))], 1)


def densenet(classes: int = CLASSES, growth: int = 32, blocks: Sequence[int] = (6, 12, 6, 4)) -> nn.Sequential:
    """DenseNet (Huang et al. 2017), with fewer layers than its 121: blocks that concatenate, transitions that halve."""
    maps = 2 * growth
    parts: list[tuple[str, nn.Module]] = [("stem", unit(3, maps, 7, 2)), ("pool", nn.MaxPool2d(3, 2, 1))]
    for number, layers in enumerate(blocks, start=1):
        inside = [DenseLayer(maps + place * growth, growth) for place in range(layers)]
        parts.append((f"block{number}", nn.Sequential(*inside)))
        maps += layers * growth
        parts += [(f"norm{number}", nn.BatchNorm2d(maps)), (f"relu{number}", nn.ReLU())]
        if number < len(blocks):
            parts.append((f"transition{number}", nn.Conv2d(maps, maps // 2, 1, bias=False)))
            parts.append((f"halved{number}", nn.AvgPool2d(2)))
            maps //= 2
    return nn.Sequential(OrderedDict([*parts, *_head(maps, classes)]))


class Fire(nn.Module):
    """SqueezeNet's module: few feature maps, of which many are made in two ways and put side by side."""

    def __init__(self, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze, self.relu = nn.Conv2d(inputs, narrow, 1), nn.ReLU()
        self.expand1x1, self.relu1x1 = nn.Conv2d(narrow, wide, 1), nn.ReLU()
        self.expand3x3, self.relu3x3 = nn.Conv2d(narrow, wide, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu1x1(self.expand1x1(x)), self.relu3x3(self.expand3x3(x))], 1)


def squeezenet(
    classes: int = CLASSES, stem: int = 64, fires: Sequence[tuple[int, int]] = SQUEEZENET_1_1
) -> nn.Sequential:
    """SqueezeNet 1.1 (Iandola et al. 2016): fire modules, poolings that round up, a convolution as the last layer."""
    parts: list[tuple[str, nn.Module]] = [("stem", nn.Conv2d(3, stem, 3, 2)), ("relu", nn.ReLU())]
    inputs = stem
    for number, (narrow, wide) in enumerate(fires):
        if number in (0, 2, 4):
            parts.append((f"pool{number // 2 + 1}", nn.MaxPool2d(3, 2, ceil_mode=True)))
        parts.append((f"fire{number + 1}", Fire(inputs, narrow, wide)))
        inputs = 2 * wide
    parts += [("dropout", nn.Dropout()), ("classifier", nn.Conv2d(inputs, classes, 1)), ("last", nn.ReLU())]
    return nn.Sequential(OrderedDict([*parts, ("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]))


def _head(maps: int, classes: int) -> list[tuple[str, nn.Module]]:
    return [("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("dense", nn.Linear(maps, classes))]


STUDY = {"basic": study_networks.basic, "trojan1": study_networks.trojan1, "trojan2": study_networks.trojan2}
published = SimpleNamespace(
    **STUDY,
    lenet=lenet,
    vgg=vgg,
    resnet=resnet,
    mobilenet=mobilenet,
    densenet=densenet,
    squeezenet=squeezenet,
    efficientnet=efficientnet,
)
"""Each as its authors have it. In a namespace and not a dict, so that `benchmarks.classifiers:published.vgg` names one."""
small = SimpleNamespace(
    **STUDY,
    lenet=lenet,
    vgg=partial(vgg, stages=((6,), (8,), (12, 12)), dense=16),
    resnet=partial(resnet, width=6, blocks=(1, 1, 1)),
    mobilenet=partial(mobilenet, stem=6, stages=((1, 6, 1, 1), (3, 8, 1, 2)), last=16),
    densenet=partial(densenet, growth=4, blocks=(2, 1)),
    squeezenet=partial(squeezenet, stem=8, fires=((4, 6), (4, 8))),
    efficientnet=partial(efficientnet, stem=6, stages=((1, 6, 1, 1), (3, 8, 1, 2)), kernels=(3, 5), last=16),
)
"""The same with few layers and feature maps."""
NAMES = tuple(vars(published))


def input_of(name: str, size: int = 32) -> InputSpecification:
    """How a network is fed: the study's as its recipes say, LeNet-5 in grey, the others as is usual for ImageNet."""
    if name in STUDY:
        return architecture(name).input
    if name == "lenet":
        return InputSpecification(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3, channels="grey")
    return InputSpecification(size=(size, size), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def build(name: str, networks: SimpleNamespace = small, size: int = 32, seed: int = 0) -> nn.Module:
    """A network by name in evaluation mode, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return lived_in(
            vars(networks)[name](CLASSES), input_of(name, size).normalise(blots(LIVED, size_of(name, size)))
        )


def size_of(name: str, size: int = 32) -> tuple[int, int]:
    return input_of(name, size).size


def blots(count: int, size: tuple[int, int], seed: int = 1) -> Tensor:
    """Images in [0, 1] that differ in more than noise: colours on several scales, smoothed."""
    draw = torch.Generator().manual_seed(seed)
    layers = [F.interpolate(torch.rand(count, 3, side, side, generator=draw), size, mode="bilinear") for side in SIDES]
    return (2 * torch.stack(layers).mean(0) - 0.5).clamp(0, 1)


def lived_in(module: nn.Module, inputs: Tensor) -> nn.Module:
    """The module as if it had been trained: none of its numbers is a fresh one's, and its logits are those of a classifier."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.6, 1.4)
            part.momentum = 1.0
        if getattr(part, "bias", None) is not None:
            nn.init.normal_(part.bias, std=0.2)
    for part in module.modules():
        if isinstance(part, InvertedResidual):  # what is added is small, as training leaves it
            nn.init.uniform_(part.project.get_parameter("norm.weight"), 0.2, 0.5)
            if isinstance(part.gate, nn.Identity):  # of one sign, else many in a row leave little but rounding
                part.depthwise.get_parameter("conv.weight").data.abs_()
    held_out = inputs[-HELD_OUT:]
    with torch.no_grad():
        module.train()(inputs[:-HELD_OUT])  # the statistics become those of these images
        last = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)][-1]
        last.weight.mul_(SPREAD / module.eval()(held_out).std(0).mean())
        if isinstance(last, nn.Linear):
            last.bias.sub_(module(held_out).mean(0))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = 0.1
    return module
