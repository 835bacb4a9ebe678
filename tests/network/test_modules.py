"""Modules as training scripts leave them: wrapped ones are unwrapped, and those that cannot be used are refused in our words."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trojancam.errors import ModelError
from trojancam.network.network import Network


class Passing(nn.Module):
    """Takes whatever comes and hands it on."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.inside(*inputs, **named)


class Two(nn.Module):
    """Wants an image and its depth."""

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        return image + depth


def plain(channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch.compile imports
@pytest.mark.parametrize(("wrap", "layer"), [(nn.DataParallel, "0"), (torch.compile, "0"), (Passing, "inside.0")])
def test_wrapped_modules_are_opened_with_the_names_of_what_is_inside(wrap: Any, layer: str) -> None:
    inside, images = plain(), torch.rand(3, 3, 16, 16)
    network = Network.from_module(wrap(inside), (16, 16))
    assert list(network.layers) == [layer]
    torch.testing.assert_close(network(images), inside(images).detach())


def test_a_network_of_one_channel_is_fed_one() -> None:
    network = Network.from_module(plain(1), (16, 16))
    assert network.input.channels == "grey"
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 5)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Two(), r"takes 2 inputs \(image, depth\).*wrap it"),
        (plain(4), "takes 4 channels, but images have 3; wrap"),
    ],
)
def test_modules_that_cannot_be_used_are_refused_with_the_remedy(module: nn.Module, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Network.from_module(module, (16, 16))


@pytest.mark.filterwarnings("ignore")  # PyTorch means to move these
def test_a_quantised_module_is_refused_with_the_remedy() -> None:
    module = nn.Sequential(plain(), torch.ao.nn.quantized.dynamic.Linear(5, 5))
    with pytest.raises(ModelError, match="is quantised.*give the module before it was"):
        Network.from_module(module, (16, 16))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make", [lambda: torch.jit.trace(plain(), torch.rand(1, 3, 16, 16)), lambda: torch.jit.script(plain())]
)
def test_torchscript_is_refused_with_the_remedy(make: Any) -> None:
    with pytest.raises(ModelError, match="is TorchScript.*give the module it was made from"):
        Network.from_module(make(), (16, 16))
