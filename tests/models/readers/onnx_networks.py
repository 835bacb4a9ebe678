"""Small networks in the manner of well-known ones, with random weights; all take 32x32 images."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.nets import randomised
from torch import Tensor, nn

from trojancam.models import ARCHITECTURES

CLASSES = 7


def mobile() -> nn.Module:
    """MobileNetV2: inverted residuals, depthwise convolutions, ReLU6."""

    class Inverted(nn.Module):
        def __init__(self, inputs: int, maps: int, stride: int) -> None:
            super().__init__()
            wide = 3 * inputs
            self.skip = stride == 1 and inputs == maps
            self.conv = nn.Sequential(
                nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
                nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
                nn.Conv2d(wide, maps, 1, bias=False), nn.BatchNorm2d(maps),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x) if self.skip else self.conv(x)

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(12, CLASSES),
    )  # fmt: skip


class Dense(nn.Module):
    """DenseNet: normalised before the convolution, and everything concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * place) for place in range(3))
        self.convolutions = nn.ModuleList(nn.Conv2d(8 + 4 * place, 4, 3, padding=1, bias=False) for place in range(3))
        self.transition = nn.Conv2d(20, 10, 1)
        self.head = nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = torch.cat([x, convolution(F.relu(norm(x)))], 1)
        x = F.avg_pool2d(self.transition(x), 2)
        return self.head(F.relu(x).mean((2, 3)))


def squeezed() -> nn.Module:
    """SqueezeNet: fire modules, a pooling that rounds up, a convolution as the last layer."""

    class Fire(nn.Module):
        def __init__(self, inputs: int, narrow: int, wide: int) -> None:
            super().__init__()
            self.squeeze = nn.Conv2d(inputs, narrow, 1)
            self.expand1x1, self.expand3x3 = nn.Conv2d(narrow, wide, 1), nn.Conv2d(narrow, wide, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.squeeze(x))
            return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 8), Fire(16, 4, 8),
        nn.Conv2d(16, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class Efficient(nn.Module):
    """EfficientNet: SiLU, depthwise convolutions, squeeze and excitation; here it ends in softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 5, 1, 2, groups=8, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.reduce, self.expand = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.project = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        inner = self.depthwise(x)
        gate = torch.sigmoid(self.expand(F.silu(self.reduce(inner.mean((2, 3), keepdim=True)))))
        x = x + self.project(inner * gate)
        return F.softmax(self.head(F.adaptive_avg_pool2d(x, 1).flatten(1)), 1)


class Modern(nn.Module):
    """Other activations and normalisations, a flatten that names the number of images, a module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 3, padding=1)
        self.group, self.layer = nn.GroupNorm(2, 8), nn.LayerNorm(8)
        self.head = nn.Linear(8 * 16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.group(self.first(x)))
        x = F.hardswish(self.second(x)) + F.mish(self.second(x))
        x = self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(F.avg_pool2d(x, 2).reshape(x.shape[0], -1))


class Shuffled(nn.Module):
    """ShuffleNet: channels in groups that are shuffled, and split in two."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), 0.1)
        left, right = x.chunk(2, 1)
        x = torch.cat([left, F.elu(self.second(right))], 1)
        n, maps, height, width = x.shape
        x = x.view(n, 2, maps // 2, height, width).transpose(1, 2).contiguous().view(n, maps, height, width)
        return self.head(x.amax((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: ARCHITECTURES[name].build(CLASSES) for name in ARCHITECTURES},  # type: ignore[misc]
    "mobile": mobile,
    "dense": Dense,
    "squeezed": squeezed,
    "efficient": Efficient,
    "modern": Modern,
    "shuffled": Shuffled,
}


def build(name: str) -> nn.Module:
    """A network by name, with the same random weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(NETWORKS[name]()).eval()
