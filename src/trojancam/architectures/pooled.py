"""Two small networks of today's make: batch normalisation throughout, and a mean over all cells before the one dense layer."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn


def vgg(classes: int = 43) -> nn.Sequential:
    """VGG-style: three pairs of 3x3 convolutions with 16, 32 and 64 maps, each pair followed by a pooling."""
    parts: list[tuple[str, nn.Module]] = []
    inputs = 3
    for stage, maps in enumerate((16, 32, 64), start=1):
        for number in (1, 2):
            name = f"{stage}_{number}"
            parts += [
                (f"conv{name}", nn.Conv2d(inputs, maps, 3, padding=1, bias=False)),
                (f"norm{name}", nn.BatchNorm2d(maps)),
                (f"relu{name}", nn.ReLU()),
            ]
            inputs = maps
        parts.append((f"pool{stage}", nn.MaxPool2d(2)))
    return nn.Sequential(OrderedDict([*parts, *_head(inputs, classes)]))


def resnet(classes: int = 43) -> nn.Sequential:
    """Residual: a 3x3 convolution with 16 maps, then blocks of two with 32, 64 and 64 maps, the first two at stride 2."""
    return nn.Sequential(
        OrderedDict(
            [
                ("conv", nn.Conv2d(3, 16, 3, padding=1, bias=False)),
                ("norm", nn.BatchNorm2d(16)),
                ("relu", nn.ReLU()),
                ("block1", Block(16, 32, stride=2)),
                ("block2", Block(32, 64, stride=2)),
                ("block3", Block(64, 64)),
                *_head(64, classes),
            ]
        )
    )


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is carried: `ReLU(f(x) + skip(x))`."""

    def __init__(self, inputs: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(maps)
        self.skip = nn.Identity() if inputs == maps and stride == 1 else _projection(inputs, maps, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        changed = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(changed + self.skip(x))


def _projection(inputs: int, maps: int, stride: int) -> nn.Sequential:
    """A 1x1 convolution that takes a block's input to the shape of its output."""
    return nn.Sequential(
        OrderedDict([("conv", nn.Conv2d(inputs, maps, 1, stride, bias=False)), ("norm", nn.BatchNorm2d(maps))])
    )


def _head(maps: int, classes: int) -> list[tuple[str, nn.Module]]:
    return [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("dense", nn.Linear(maps, classes))]
