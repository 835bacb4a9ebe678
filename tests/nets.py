"""Small networks that tests share: each shows one thing that real networks do. All take 12x12 images, give 4 classes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jaxtyping
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trojancam.architectures import architecture
from trojancam.attribution import METHODS
from trojancam.evaluation.perturbation import generator
from trojancam.network.network import Network

torch.set_num_threads(1)

SIZE = (12, 12)
CLASSES = 4


class Head(nn.Module):
    """Mean over the cells, then a linear layer."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.linear = nn.Linear(maps, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


class Plain(nn.Module):
    """Convolutions, functional ReLUs, and a flatten that a channels-last image must survive."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 5, 3)
        self.linear = nn.Linear(5 * 3 * 3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        return self.linear(torch.relu(self.second(x)).view(x.shape[0], -1))


def normed() -> nn.Module:
    """Batch normalisation between convolution and an in-place ReLU, and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.5),
        nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(inplace=True), Head(6),
    )  # fmt: skip


class Block(nn.Module):
    """A residual block; `downsample` is a convolution on the skip connection."""

    def __init__(self, inputs: int, maps: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != maps:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += skip
        return self.relu(out)


def residual() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), Block(4, 4, 1), Block(4, 6, 2), Head(6))


def depthwise() -> nn.Module:
    """A depthwise convolution, one of width 1, and other activations."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.SiLU(), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.GELU(), nn.Conv2d(6, 5, 1), Head(5)
    )


class Twice(nn.Module):
    """One convolution, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.head = Head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu_()
        for _ in range(2):
            x = F.relu(self.shared(x), inplace=True)
        return self.head(x)


class Concatenating(nn.Module):
    """Two branches side by side; one has no activation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 3, 3, padding=1)
        self.right = nn.Conv2d(3, 2, 1)
        self.head = Head(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(x).relu(), self.right(x)], 1))


class PreActivation(nn.Module):
    """Normalise, activate, then convolve: the sum of skip connections is used twice and activated nowhere by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.head = Head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv1(self.norm1(x).relu())
        x = x + self.conv2(self.norm2(x).relu())
        return self.head(x)


class Dangling(nn.Module):
    """The last convolution reaches the logits, but no gradient comes back to it."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv2d(3, 4, 3)
        self.unused = nn.Conv2d(4, 2, 1)
        self.head = Head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.used(x).relu()
        return self.head(x) + self.unused(x).relu().detach().mean((1, 2, 3))[:, None]


class Attention(nn.Module):
    """Self-attention of two heads, over whatever tokens there are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width))


class MLP(nn.Module):
    """Two dense layers on the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """What attention gives and what an MLP gives, each added to the stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width), MLP(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Patches of 4x3 pixels, a class token before them and a register token behind; the class token is read."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, (4, 3), (4, 3))
        self.before, self.behind = (nn.Parameter(torch.randn(1, 1, width)) for _ in range(2))
        self.positions = nn.Parameter(torch.randn(1, 14, width))
        self.blocks = nn.Sequential(TransformerBlock(width), TransformerBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        n = x.shape[0]
        x = torch.cat([self.before.expand(n, -1, -1), x, self.behind.expand(n, -1, -1)], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Pointwise(nn.Module):
    """As ConvNeXt: a depthwise convolution, then dense layers on channels that lie last; their result is added."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.mlp, self.head = nn.LayerNorm(4), MLP(4, 8), Head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(x + self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2))


NETS: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "normed": normed,
    "residual": residual,
    "depthwise": depthwise,
    "twice": Twice,
    "concatenating": Concatenating,
    "pre-activation": PreActivation,
    "dangling": Dangling,
    "transformer": Transformer,
    "pointwise": Pointwise,
}


def build(name: str, seed: int = 0) -> nn.Module:
    """A registered network with random weights and running statistics, in training mode, as a trainer leaves it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomised(NETS[name]())


def randomised(module: nn.Module) -> nn.Module:
    """Running statistics, as if it had been trained: fresh ones (mean 0, variance 1) would hide mistakes."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
    return module


@cache
def network(name: str) -> tuple[nn.Module, Network]:
    """A registered net or one of the study's, in evaluation mode, and its network: made once, for tests that only look."""
    if name in NETS:
        module = build(name).eval()
        return module, Network.from_module(module, SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = randomised(architecture(name).build(43)).eval()
    return module, Network.from_module(module, specification=architecture(name).input)


def methods_for(net: Network) -> list[str]:
    """The attribution methods that work with a network."""
    return [name for name, method in METHODS.items() if method.works_with(net)]


def images_for(net: Network, count: int, seed: int = 1) -> Tensor:
    return images(count, seed, net.input.size)


@contextmanager
def unchecked() -> Iterator[None]:
    """As users run it: without the checks of shapes that tests run under, so that the library's own ones are reached."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def images(count: int, seed: int = 1, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def random_maps(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Heat maps of even noise in [0, 1): they know nothing of any image."""
    maps = [generator(seed, image, "random map").random(size, np.float32) for image in range(count)]
    return torch.from_numpy(np.stack(maps))


def state_of(module: nn.Module) -> dict[str, Any]:
    """All that using a module must leave as it was, copied."""
    return {
        "modes": [part.training for part in module.modules()],
        "values": {name: tensor.clone() for name, tensor in module.state_dict().items()},
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "grads": {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None},
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
    }


def assert_same_state(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Two results of `state_of` are equal, to the last bit."""
    for part in ("modes", "requires_grad", "hooks", "attributes"):
        assert after[part] == before[part]
    torch.testing.assert_close((after["values"], after["grads"]), (before["values"], before["grads"]), rtol=0, atol=0)
