"""The study's networks: what was published of them, and that any number of classes will do."""

import pytest
import torch
from tests.nets import network
from torch import nn

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.errors import UnknownNameError
from trojancam.network.input import InputSpecification


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def as_keras_counts(module: nn.Module) -> int:
    """Running means and variances count there; PyTorch's counters of batches do not exist."""
    return sum(
        tensor.numel() for name, tensor in module.state_dict().items() if not name.endswith("num_batches_tracked")
    )


@pytest.mark.parametrize(
    ("name", "counted", "learned"),
    [("basic", 107_147, 106_427), ("trojan1", 516_139, 516_139), ("trojan2", 1_264_727, 1_264_727)],
)
def test_published_parameter_counts(name: str, counted: int, learned: int) -> None:
    module = architecture(name).build(43)
    assert (as_keras_counts(module), trainable(module)) == (counted, learned)


MAPS_AND_CELLS = {
    "basic": {"conv2d_1": (8, 32), "conv2d_2": (16, 16), "conv2d_3": (16, 16), "conv2d_4": (32, 8), "conv2d_5": (32, 8)},
    "trojan1": {
        "conv2d_1": (32, 32), "conv2d_2": (64, 16), "conv2d_3": (128, 8), "conv2d_4": (64, 4), "conv2d_5": (32, 2),
    },
    "trojan2": {
        "conv2d_5": (9, 28), "conv2d_6": (32, 12), "conv2d_7": (48, 6), "conv2d_8": (64, 6), "conv2d_9": (96, 6),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS_AND_CELLS)
def test_layers_bear_the_studys_names_and_maps(name: str) -> None:
    layers = network(name)[1].layers
    expected = [(layer, maps, (side, side)) for layer, (maps, side) in MAPS_AND_CELLS[name].items()]
    assert [(layer.name, layer.feature_maps, layer.size) for layer in layers.values()] == expected


def test_the_feature_maps_that_the_study_names_exist() -> None:
    net = network("trojan2")[1]
    assert (net.feature_map("conv2d_6", 31), net.feature_map("conv2d_9", 78)) == (31, 78)


@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_number_of_classes(name: str, classes: int) -> None:
    full, module = architecture(name).build(43), architecture(name).build(classes)
    assert module.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, classes)
    last = [part for part in full.modules() if isinstance(part, nn.Linear)][-1]
    assert trainable(full) - trainable(module) == (43 - classes) * (last.in_features + 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_fed_images_of_32_pixels(name: str) -> None:
    assert architecture(name).input == InputSpecification(size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
    assert architecture(name).summary


def test_the_order_of_parts_in_basic_is_the_studys() -> None:
    kinds = [type(part).__name__ for part in architecture("basic").build(43)]
    conv, pool = ["Conv2d", "ReLU", "BatchNorm2d"], ["MaxPool2d"]
    dense = ["Linear", "ReLU", "BatchNorm1d", "Dropout"]
    assert kinds == conv + pool + (conv + conv + pool) * 2 + ["Flatten"] + dense * 2 + ["Linear"]


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'trojan1'.*known: basic, trojan1, trojan2"):
        architecture("trojan_1")
