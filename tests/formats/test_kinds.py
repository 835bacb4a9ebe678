"""A model file is opened by what it is, whatever it is called; what it lacks is asked for by name."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from trojancam.errors import ModelError
from trojancam.formats.kinds import kind_of, open_model
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.opening.open import load


def small(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).eval()


def onnx(module: nn.Module, path: Path) -> None:
    channels = next(module.parameters()).shape[1]
    torch.onnx.export(module, (torch.zeros(1, channels, 8, 8),), path, dynamo=False)


def program(module: nn.Module, path: Path) -> None:
    channels = next(module.parameters()).shape[1]
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, channels, 8, 8),), dynamic_shapes=shapes), path)


Writer = Callable[[nn.Module, Path], None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("write", "kind"), [(onnx, "onnx"), (program, "pt2")])
def test_a_file_is_known_by_its_bytes(tmp_path: Path, write: Writer, kind: str) -> None:
    path = tmp_path / "model.anything"
    write(small(), path)
    assert kind_of(path) == kind
    network, images = load(path), torch.rand(5, 3, 8, 8)
    assert network.input == InputSpecification(size=(8, 8))
    torch.testing.assert_close(network(images), Network.from_module(small(), (8, 8))(images), atol=1e-5, rtol=0)
    with pytest.raises(ModelError, match="no architecture can be chosen"):
        load(path, architecture="resnet")


def test_weights_alone_need_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    torch.save(small().state_dict(), path)
    with pytest.raises(ModelError, match="say which with architecture="):
        load(path)
    (tmp_path / "authors_own_net.py").write_text("from tests.formats.test_kinds import small as build\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = open_model(path, "authors_own_net:build").module
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(module(images), small()(images))


def test_grey_images_reach_a_network_of_one_channel(tmp_path: Path) -> None:
    path = tmp_path / "grey.pt2"
    program(small(1), path)
    network, images = load(path), torch.rand(3, 3, 8, 8)
    assert network.input.channels == "grey"
    luma = images[:, :1] * 0.299 + images[:, 1:2] * 0.587 + images[:, 2:] * 0.114
    torch.testing.assert_close(network(images), small(1)(luma), atol=1e-6, rtol=0)


def test_channels_may_come_the_other_way_round() -> None:
    images = torch.rand(2, 3, 8, 8)
    turned = Network.from_module(small(), specification=InputSpecification(size=(8, 8), channels="bgr"))
    torch.testing.assert_close(turned(images), small()(images.flip(1)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(-1)])
def test_logits_are_taken_before_a_last_softmax(last: nn.Module) -> None:
    images = torch.rand(2, 3, 8, 8)
    network = Network.from_module(nn.Sequential(*small(), last), (8, 8))
    torch.testing.assert_close(network(images), small()(images), atol=1e-6, rtol=0)
    assert network.notes == ("it ends in a softmax: its logits are taken before that",)
    assert network.fed(InputSpecification(size=(8, 8), channels="bgr")).notes == network.notes


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.txt", b"hello there, this is text", "no model file of a known kind; known: safetensors"),
        ("m.onnx", b"", "m.onnx"),
        ("m.safetensors", b"\x00" * 20, "m.safetensors"),
        ("m.zip", b"PK\x05\x06" + b"\x00" * 18, "m.zip"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(words)):
        load(path)
    with pytest.raises(ModelError, match="there is no model file"):
        load(tmp_path / "missing")


def test_models_of_tensorflow_get_the_command_that_converts_them(tmp_path: Path) -> None:
    saved = tmp_path / "my model"
    saved.mkdir()
    with pytest.raises(ModelError, match="is a folder, not a model file"):
        load(saved)
    (saved / "saved_model.pb").write_bytes(b"\x08\x01")
    command = f"python -m tf2onnx.convert --saved-model '{saved}' --output 'my model'.onnx"
    for path in (saved, saved / "saved_model.pb"):
        with pytest.raises(ModelError, match=re.escape(command)):
            load(path)
    lite = tmp_path / "m.tflite"
    lite.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(20))
    with pytest.raises(ModelError, match=re.escape(f"python -m tf2onnx.convert --tflite {lite} --output m.onnx")):
        load(lite)


def test_weights_of_a_grey_network_are_fed_one_channel(tmp_path: Path) -> None:
    path, images = tmp_path / "grey.pt", torch.rand(3, 3, 28, 28)
    torch.save(small(1).state_dict(), path)
    luma = images[:, :1] * 0.299 + images[:, 1:2] * 0.587 + images[:, 2:] * 0.114
    for way, scaled in ((None, luma), ("grey-unit", luma), ("grey-symmetric", 2 * luma - 1)):
        network = load(path, architecture=small(1), size=28, preprocessing=way)
        assert network.input.channels == "grey"
        torch.testing.assert_close(network(images), small(1)(scaled), atol=1e-5, rtol=0)
    assert Network.from_module(small(1), (28, 28)).input.channels == "grey"


class MeanOfColours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grey = small(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.grey(images.mean(1, keepdim=True))


def test_a_network_that_makes_colours_grey_itself_is_fed_colours() -> None:
    images = torch.rand(2, 3, 8, 8)
    network = Network.from_module(MeanOfColours().eval(), (8, 8))
    assert network.input.channels == "rgb"
    torch.testing.assert_close(network(images), small(1)(images.mean(1, keepdim=True)), atol=1e-6, rtol=0)
