"""A network goes back into its kind of file with the same keys, order and types; what cannot be is refused before any work."""

from collections import OrderedDict
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.formats.onnx_graphs import by_onnxruntime, exported
from torch import nn

from trojancam.errors import ModelError
from trojancam.network.network import Network
from trojancam.opening.open import ModelFile, opened
from trojancam.opening.saving import check_saveable, save_as


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def changed(network: Network) -> Network:
    return network.with_parameters({name: values * 1.5 for name, values in network.parameters.items()})


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_weights_keep_their_keys_their_order_and_their_types(tmp_path: Path, suffix: str, kind: torch.dtype):
    module = build()
    state = OrderedDict((f"module.{name}", value.to(kind) if value.is_floating_point() else value)
                        for name, value in module.state_dict().items())  # fmt: skip
    path, out = tmp_path / f"net{suffix}", tmp_path / f"fixed{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": state}, path)
    file = ModelFile(path, build, size=8)
    network = opened(file)
    check_saveable(network, file, out)
    fixed = changed(network)
    assert save_as(fixed, file, out) == out
    found = load_file(out) if suffix == ".safetensors" else torch.load(out)["state_dict"]
    assert sorted(found) == sorted(state)
    assert suffix == ".safetensors" or list(found) == list(state)
    assert {name: value.dtype for name, value in found.items()} == {name: value.dtype for name, value in state.items()}
    assert torch.equal(found["module.1.running_mean"], state["module.1.running_mean"])  # what is not trained stays
    torch.testing.assert_close(
        found["module.0.weight"].float(), state["module.0.weight"].float() * 1.5, atol=2e-3, rtol=0
    )
    images = torch.rand(5, 3, 8, 8)
    again = opened(ModelFile(out, build, size=8))
    tolerance = 1e-5 if kind == torch.float32 else 2e-2
    torch.testing.assert_close(again(images), fixed(images), atol=tolerance, rtol=tolerance)


def test_any_network_can_be_an_exported_program(tmp_path: Path):
    path = tmp_path / "net.pt"
    torch.save(build().state_dict(), path)
    file = ModelFile(path, build, size=8)
    network = opened(file)
    out = tmp_path / "fixed.pt2"
    check_saveable(network, file, out)
    fixed = changed(network)
    save_as(fixed, file, out)
    images = torch.rand(5, 3, 8, 8)
    torch.testing.assert_close(opened(ModelFile(out))(images), fixed(images))


@pytest.mark.parametrize("kind", ["onnx", "pt"])
def test_any_network_can_be_an_onnx_file(tmp_path: Path, kind: str):
    """One that came as ONNX keeps its graph; others are exported with their class names."""
    path, out = tmp_path / f"net.{kind}", tmp_path / "fixed.onnx"
    if kind == "pt":
        torch.save(build().state_dict(), path)
        file = ModelFile(path, build, size=8, class_names=("a", "b", "c"))
    else:
        file = ModelFile(exported(path, build().eval(), (8, 8), dynamo=False, opset=18))
    network = opened(file)
    check_saveable(network, file, out)
    fixed = changed(network)
    assert save_as(fixed, file, out) == out
    images = torch.rand(5, 3, 8, 8)
    torch.testing.assert_close(by_onnxruntime(out, images), fixed(images), atol=1e-5, rtol=1e-5)
    again = opened(ModelFile(out))
    torch.testing.assert_close(again(images), fixed(images), atol=1e-5, rtol=1e-5)
    assert again.class_names == network.class_names
    if kind == "onnx":
        assert [node.output for node in onnx.load(out).graph.node] == [
            node.output for node in onnx.load(path).graph.node
        ]


def test_an_onnx_file_whose_weights_are_other_ones_is_refused(tmp_path: Path):
    file = ModelFile(exported(tmp_path / "net.onnx", build().eval(), (8, 8), dynamo=False, opset=18))
    with pytest.raises(ModelError, match="the weights .* are not those of .* as they stand there.*call the file x.pt2"):
        check_saveable(changed(opened(file)), file, tmp_path / "x.onnx")


@pytest.mark.parametrize("kind", ["onnx", "pt"])
def test_a_network_whose_activations_are_bounded_is_a_program_or_an_onnx_file(tmp_path: Path, kind: str):
    path = tmp_path / f"net.{kind}"
    if kind == "pt":
        torch.save(build().state_dict(), path)
        file = ModelFile(path, build, size=8)
    else:
        file = ModelFile(exported(path, build().eval(), (8, 8), dynamo=False, opset=18))
    network, images = opened(file), torch.rand(5, 3, 8, 8)
    layer = network.boundable[0]
    bounded = network.bounded({layer: torch.full((network.layer(layer).feature_maps,), 0.1)})
    assert not torch.allclose(bounded(images), network(images))
    for name in ("fixed.pt2", "fixed.onnx"):
        check_saveable(network, file, tmp_path / name, edited=True)
        save_as(bounded, file, tmp_path / name)
        torch.testing.assert_close(opened(ModelFile(tmp_path / name))(images), bounded(images), atol=1e-5, rtol=1e-5)
    with pytest.raises(ModelError, match="and x.pt would hold weights alone; call the file x.pt2 or x.onnx$"):
        check_saveable(network, file, tmp_path / "x.pt", edited=True)
    if kind == "pt":
        with pytest.raises(ModelError, match="bounds activations, and x.pt would hold weights alone"):
            save_as(bounded, file, tmp_path / "x.pt")


def test_what_cannot_be_written_back_is_refused(tmp_path: Path):
    path = tmp_path / "net.pt"
    torch.save(build().state_dict(), path)
    file = ModelFile(path, build, size=8)
    network = opened(file)
    for name in ("fixed.h5", "fixed.safetensors", "fixed"):
        with pytest.raises(
            ModelError, match="cannot be written back as .*; call the file fixed.pt2, or .* .onnx or .pt"
        ):
            check_saveable(network, file, tmp_path / name)
    with pytest.raises(ModelError, match="are not those of .* as they stand there"):
        check_saveable(changed(network), file, tmp_path / "fixed.pt")
