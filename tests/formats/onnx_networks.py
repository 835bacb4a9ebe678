"""Small networks for the ONNX reader, with random weights: well-known ones, and what these leave out. All take 32x32 images."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from benchmarks.classifiers import small
from tests.nets import randomised
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES

CLASSES = 7


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
    "mobilenet": lambda: small.mobilenet(CLASSES),
    "densenet": lambda: small.densenet(CLASSES),
    "squeezenet": lambda: small.squeezenet(CLASSES),
    "efficientnet": lambda: nn.Sequential(small.efficientnet(CLASSES), nn.Softmax(1)),
    "modern": Modern,
    "shuffled": Shuffled,
}


def build(name: str) -> nn.Module:
    """A network by name, with the same random weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(NETWORKS[name]()).eval()
