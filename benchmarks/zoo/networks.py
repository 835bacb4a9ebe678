"""Small networks of three kinds for images of 64 pixels, by name among the architectures: residual, a ViT, one like ConvNeXt."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.transformer import WIDTH, Transformer
from trojancam.architectures import ARCHITECTURES, Architecture
from trojancam.architectures.pooled import Block
from trojancam.network.input import InputSpecification

SIDE, PATCH = 64, 8
HEADS = 4  # of the ViT
MAPS = (32, 64, 128)  # of the ConvNeXt-like network, stage by stage
CLASSES = 20


def residual(classes: int = CLASSES) -> nn.Sequential:
    """A 5x5 convolution and a pooling, each at stride 2, then three blocks of two 3x3 convolutions with 32, 64 and 128 maps."""
    return nn.Sequential(
        OrderedDict(
            [
                ("conv", nn.Conv2d(3, 32, 5, 2, padding=2, bias=False)),
                ("norm", nn.BatchNorm2d(32)),
                ("relu", nn.ReLU()),
                ("pooling", nn.MaxPool2d(2)),
                ("block1", Block(32, 32)),
                ("block2", Block(32, 64, stride=2)),
                ("block3", Block(64, 128, stride=2)),
                ("pool", nn.AdaptiveAvgPool2d(1)),
                ("flatten", nn.Flatten()),
                ("dense", nn.Linear(128, classes)),
            ]
        )
    )


def vit(classes: int = CLASSES) -> Transformer:
    """A ViT: patches of 8x8 pixels."""
    return Transformer(nn.Conv2d(3, WIDTH, PATCH, PATCH), (SIDE // PATCH) ** 2, HEADS, classes)


class ChannelNorm(nn.LayerNorm):
    """A layer normalisation over the channels of feature maps."""

    def forward(self, x: Tensor) -> Tensor:
        """The maps, normalised in each cell."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A 7x7 convolution of each map alone, then dense layers on the channels, which lie last; added to the input."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(maps, maps, 7, padding=3, groups=maps)
        self.norm = nn.LayerNorm(maps)
        self.widen, self.narrow = nn.Linear(maps, 4 * maps), nn.Linear(4 * maps, maps)
        self.scale = nn.Parameter(torch.full((maps,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        changed = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        changed = self.scale * self.narrow(F.gelu(self.widen(changed)))
        return x + changed.permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """After ConvNeXt: patches of 4x4 pixels, three stages of two blocks, and half as many rows and columns between them."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, MAPS[0], 4, 4), ChannelNorm(MAPS[0]))
        stages: list[nn.Module] = []
        for stage, maps in enumerate(MAPS):
            before = [ChannelNorm(MAPS[stage - 1]), nn.Conv2d(MAPS[stage - 1], maps, 2, 2)] if stage else []
            stages.append(nn.Sequential(*before, ConvNextBlock(maps), ConvNextBlock(maps)))
        self.stages = nn.Sequential(*stages)
        self.norm, self.head = nn.LayerNorm(MAPS[-1]), nn.Linear(MAPS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.norm(self.stages(self.stem(x)).mean((2, 3))))


_SIXTY_FOUR = InputSpecification(size=(SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
OF_64_PIXELS = {
    "zoo-residual-64": Architecture(residual, _SIXTY_FOUR, "residual, of images of 64 pixels"),
    "zoo-vit-64": Architecture(vit, _SIXTY_FOUR, "a ViT of images of 64 pixels, in patches of 8"),
    "zoo-convnext-64": Architecture(ConvNext, _SIXTY_FOUR, "like ConvNeXt, of images of 64 pixels"),
}
"""The networks of the zoo that take images of 64 pixels."""

for _name, _architecture in OF_64_PIXELS.items():
    ARCHITECTURES.register(_name)(_architecture)
