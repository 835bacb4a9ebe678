"""Networks exported to ONNX by PyTorch's two exporters: same logits as onnxruntime, same layer names as the module."""

import random
from pathlib import Path

import pytest
import torch
from tests.formats.onnx_graphs import difference, exported
from tests.formats.onnx_networks import CLASSES, NETWORKS, build
from torch import nn

from trojancam.formats.onnx.reader import read_onnx
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit

SIZE = (32, 32)
WITHIN = 1e-4
DRAW = random.Random(6)
# Every network by the older exporter at a random operator set, and some by the newer, which takes seconds.
CASES = [(name, False, DRAW.choice((13, 17, 18, 20)), DRAW.choice((None, 1, 3))) for name in NETWORKS]
CASES += [(name, True, DRAW.choice((18, 20)), DRAW.choice((None, 1))) for name in ("resnet", "modern")]


def convolutions(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]


@pytest.mark.parametrize(("name", "dynamo", "opset", "batch"), CASES)
def test_an_exported_network_gives_the_same_logits(
    tmp_path: Path, name: str, dynamo: bool, opset: int, batch: int | None
) -> None:
    module = build(name)
    path = exported(tmp_path / f"{name}.onnx", module, SIZE, dynamo=dynamo, opset=opset, batch=batch)
    opened = read_onnx(path)
    assert (opened.name, opened.format, opened.size, opened.channels) == (name, "ONNX", SIZE, 3)
    assert difference(path, opened, SIZE) <= WITHIN
    images = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    network = Network.from_module(opened.module, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(opened.module(images), module(images), rtol=0, atol=WITHIN)
        expected = Network.from_module(module, SIZE) if name == "efficientnet" else module  # it ends in softmax
        torch.testing.assert_close(network(images), expected(images), rtol=0, atol=WITHIN)
    assert sorted(network.layers) == sorted(convolutions(module))


def exported_network(folder: Path, name: str) -> tuple[nn.Module, Network]:
    module = build(name)
    path = exported(folder / f"{name}.onnx", module, SIZE, dynamo=False, opset=17)
    return module, Network.from_module(read_onnx(path).module, SIZE)


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "efficientnet"])
def test_recordings_and_cuts_are_those_of_the_module(tmp_path: Path, name: str) -> None:
    """Layer by layer: the same activations and gradients, and the same logits from a cut on."""
    module, network = exported_network(tmp_path, name)
    own = Network.from_module(module, SIZE)
    images = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    recorded, expected = (record(each, images, target=logit(CLASSES - 1)) for each in (network, own))
    assert set(recorded.layers) == set(own.layers)
    for layer, values in recorded.layers.items():
        theirs = expected.layers[layer]
        torch.testing.assert_close(values.activations, theirs.activations, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(values.gradients, theirs.gradients, rtol=1e-3, atol=1e-5)
        assert values.placement == theirs.placement
    first = next(iter(network.layers))
    cut = network.cut(first)
    activations, *crossing = cut.before(images)
    logits, _ = cut.after(torch.cat([activations, activations]), [torch.cat([value, value]) for value in crossing])
    torch.testing.assert_close(logits[:3], recorded.logits)
    torch.testing.assert_close(logits[3:], recorded.logits)
