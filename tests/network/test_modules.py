"""Modules as training scripts leave them: wrapped ones are unwrapped, and those that cannot be used are refused in our words."""

from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from trojancam.errors import ModelError
from trojancam.network.network import Network

EAGERLY = partial(torch.compile, backend="eager")  # compiles as others do, and needs no compiler for that


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


class Named(nn.Module):
    """Wants its images by name."""

    def forward(self, *, image: Tensor) -> Tensor:
        return image


class Asking(nn.Module):
    """Wants a batch that is no tensor."""

    def __init__(self, ask: Any) -> None:
        super().__init__()
        self.ask, self.inside = ask, plain()

    def forward(self, batch: Any) -> Tensor:
        return self.inside(self.ask(batch))


class Listing(Asking):
    """Says that it wants a list, which PyTorch's own functions ask it for."""

    def forward(self, batch: list[Tensor]) -> Tensor:
        return self.inside(torch.stack(batch))


def plain(channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch.compile imports
@pytest.mark.parametrize(("wrap", "layer"), [(nn.DataParallel, "0"), (EAGERLY, "0"), (Passing, "inside.0")])
def test_wrapped_modules_are_opened_with_the_names_of_what_is_inside(wrap: Any, layer: str) -> None:
    inside, images = plain(), torch.rand(3, 3, 16, 16)
    network = Network.from_module(wrap(inside), (16, 16))
    assert list(network.layers) == [layer]
    torch.testing.assert_close(network(images), inside(images).detach())


def compiled_forward() -> nn.Module:
    """Its `forward` is compiled, and a function that this calls."""

    @EAGERLY
    def double(logits: Tensor) -> Tensor:
        return 2 * logits

    class Decorated(Passing):
        @EAGERLY
        def forward(self, images: Tensor) -> Tensor:
            return double(self.inside(images))

    return Decorated(plain())


def compiled_in_place() -> nn.Module:
    module = nn.Sequential(plain())
    module.compile(backend="eager")
    module[0].compile(backend="eager")
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "layer", "factor"), [(compiled_in_place, "0.0", 1), (compiled_forward, "inside.0", 2)]
)
def test_compiled_modules_are_opened_without_compiling(
    make: Any, layer: str, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, images = make().eval(), torch.rand(3, 3, 16, 16)
    compiled = Mock(side_effect=RuntimeError)
    monkeypatch.setattr("torch._dynamo.convert_frame._compile", compiled)
    network = Network.from_module(module, (16, 16))
    assert list(network.layers) == [layer]
    assert not compiled.called
    inside = next(iter(module.children()))
    with torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(network(images), factor * inside(images).detach())


def test_a_network_of_one_channel_is_fed_one() -> None:
    network = Network.from_module(plain(1), (16, 16))
    assert network.input.channels == "grey"
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 5)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Two(), r"takes 2 inputs \(image, depth\).*wrap it"),
        (Named(), "takes its inputs by name alone.*wrap it"),
        (Asking(lambda batch: batch["image"]), r"takes a dict of inputs \('image'\), but images alone.*wrap it"),
        (Asking(lambda batch: batch.get("image")), "takes a dict of inputs, but"),
        (Asking(sum), "takes a list of inputs, but"),
        (Asking(lambda batch: batch.pixels), r"takes an object with inputs \(.pixels\), but"),
        (Listing(None), "takes a list of inputs, but"),
        (plain(4), "takes 4 channels, but images have 3; wrap"),
    ],
)
def test_modules_that_cannot_be_used_are_refused_with_the_remedy(module: nn.Module, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Network.from_module(module, (16, 16))


@pytest.mark.filterwarnings("ignore")  # PyTorch means to move these
def test_a_quantised_module_is_refused_with_the_remedy() -> None:
    module = nn.Sequential(plain(), torch.ao.nn.quantized.dynamic.Linear(5, 5))
    with pytest.raises(ModelError, match="the part 1 of this module is quantised.*give the module before it was"):
        Network.from_module(module, (16, 16))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: torch.jit.trace(plain(), torch.rand(1, 3, 16, 16)), "this module"),
        (lambda: torch.jit.script(plain()), "this module"),
        (lambda: Passing(nn.Sequential(torch.jit.script(plain()), nn.ReLU())), "the part inside.0 of this module"),
    ],
)
def test_torchscript_is_refused_with_the_remedy(make: Any, named: str) -> None:
    with pytest.raises(ModelError, match=f"^{named} is TorchScript.*give the module it was made from"):
        Network.from_module(make(), (16, 16))
