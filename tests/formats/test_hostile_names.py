"""Names from files: graphs write the names of weights into their code, so none may hold more than letters and digits."""

import copy
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from tests.formats.hostile_keras import CONV, DENSE, FLATTEN, hdf5, layer, model, numbers, small, zipped
from tests.formats.hostile_left_alone import in_quotes
from tests.formats.onnx_graphs import exported
from torch import fx, nn

from trojancam.errors import ModelError
from trojancam.formats.keras.reader import read_keras
from trojancam.network.network import Network
from trojancam.opening.open import load


def test_pytorch_runs_names_of_weights(tmp_path: Path) -> None:
    """The danger is real: why all this is checked."""
    canary = tmp_path / "c"
    root, graph = nn.Module(), fx.Graph()
    root.add_module(in_quotes(canary), nn.Linear(1, 1))
    graph.output(graph.create_node("get_attr", f"{in_quotes(canary)}.weight"))
    with pytest.raises(AttributeError):
        fx.GraphModule(root, graph)()
    assert canary.exists()


def test_a_module_with_such_a_name_is_refused(tmp_path: Path) -> None:
    module = nn.Sequential()
    module.add_module(in_quotes(tmp_path / "c"), nn.Conv2d(3, 2, 3))
    module.add_module("flatten", nn.Flatten())
    with pytest.raises(ModelError, match="have an impossible name"):
        Network.from_module(module, (4, 4))
    assert not (tmp_path / "c").exists()


def test_keras_layers_get_names_that_are_none_but_names(tmp_path: Path) -> None:
    config = small()
    config["config"]["layers"][1]["config"]["name"] = in_quotes(tmp_path / "c")
    network = load(zipped(tmp_path / "m.keras", config))
    assert re.fullmatch(r"\w+", next(iter(network.layers)))
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["forward", "_keras", "__class__", "1é", "class", "None"])
def test_other_odd_names_of_layers(tmp_path: Path, name: str) -> None:
    config = small()
    config["config"]["layers"][1]["config"]["name"] = name
    network = load(zipped(tmp_path / "m.keras", config))
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


def named_by_pythons_words() -> nn.Sequential:
    module = nn.Sequential(OrderedDict({"class": nn.Conv2d(3, 2, 3), "if": nn.ReLU(), "flatten": nn.Flatten()}))
    return module.eval()


def test_a_module_named_by_a_word_of_python_is_refused() -> None:
    with pytest.raises(ModelError, match="the weights class.weight are called by Python's own word 'class'"):
        Network.from_module(named_by_pythons_words(), (4, 4))


def test_files_that_name_layers_by_words_of_python(tmp_path: Path) -> None:
    module, images = named_by_pythons_words(), torch.rand(2, 3, 4, 4)
    exported(tmp_path / "m.onnx", module, (4, 4), dynamo=False, opset=17)
    torch.export.save(torch.export.export(module, (images,), strict=False), tmp_path / "m.pt2")
    for name in ("m.onnx", "m.pt2"):
        network = load(tmp_path / name)
        assert list(network.layers) == ["class_"]
        torch.testing.assert_close(network(images), module(images))


def test_two_names_that_become_one_are_two_layers(tmp_path: Path) -> None:
    first, second = CONV, layer("Conv2D", filters=3, kernel_size=[1, 1], use_bias=False)
    config = copy.deepcopy(model(first, second, FLATTEN, DENSE))
    for entry, name in zip(config["config"]["layers"][1:3], ("a b", "a_b"), strict=True):
        entry["config"] = {**entry["config"], "name": name}
    kernels = {
        **numbers(),
        "layers/conv2d_1/vars/0": torch.rand(1, 1, 2, 3).numpy(),
        "layers/dense/vars/0": torch.rand(108, 4).numpy(),
    }
    content = hdf5(lambda file: file.update(kernels))
    state = read_keras(zipped(tmp_path / "m.keras", config, content)).module.state_dict()
    assert state["a_b.kernel"].shape == (3, 3, 3, 2)
    assert state["a_b_.kernel"].shape == (1, 1, 2, 3)
