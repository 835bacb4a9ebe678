"""Checkpoints as training scripts write them: weights are found under any key and prefix, or it is said what is in the way."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trojancam.errors import ModelError, UnknownNameError
from trojancam.formats.weights.architecture import read_with_architecture
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network

HERE = "tests.formats.weights.test_fitting"
State = dict[str, Any]


class Small(nn.Module):
    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(torch.relu(self.conv(x)).mean((2, 3)))
        return result


class InModule(nn.Module):
    """Its author's own part is called as nn.DataParallel calls what it holds."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.module = Small(classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.module(x)
        return result


def parallel(classes: int = 5) -> nn.Module:
    return nn.DataParallel(Small(classes))


def compiled(classes: int = 5) -> Any:
    return torch.compile(Small(classes))


def grey(classes: int = 10) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


torch.manual_seed(0)
OWN: State = dict(Small().state_dict())
IMAGES = torch.rand(4, 3, 12, 12)


def under(prefix: str, state: State = OWN) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def saved(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def assert_read(path: Path, architecture: str = "Small", *notes: str, key: str | None = None) -> None:
    """The weights are those of `OWN`, and this is said of how they were found."""
    opened = read_with_architecture(path, f"{HERE}:{architecture}", key=key)
    expected = Small()
    expected.load_state_dict(OWN)
    assert opened.module(IMAGES).equal(expected(IMAGES))
    assert opened.notes == notes


CALLS = "the weights are those that the checkpoint calls {}"
PARALLEL = "the prefix 'module.' that nn.DataParallel put before all names was left out"
CHECKPOINTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "PyTorch's ImageNet example": (
        {"epoch": 3, "state_dict": under("module."), "best_acc1": torch.tensor(71.3)},
        (CALLS.format("state_dict"), PARALLEL),
    ),
    "a count that is a tensor": ({"model": OWN, "epoch": torch.tensor(4)}, (CALLS.format("model"),)),
    "a grid beside it": ({"netC": OWN, "identity_grid": torch.zeros(1, 32, 32, 2)}, (CALLS.format("netC"),)),
    "an unusual key": ({"params": OWN}, (CALLS.format("params"),)),
    "keys in keys": ({"a": {"b": {"c": OWN}}}, (CALLS.format("a / b / c"),)),
    "a list": ([OWN], (CALLS.format("0"),)),
    "torch.compile of nn.DataParallel": (
        under("_orig_mod.module."),
        ("the prefix '_orig_mod.module.' that torch.compile and nn.DataParallel put before all names was left out",),
    ),
    "the same prefix twice": (
        under("module.module."),
        ("the prefix 'module.module.' that nn.DataParallel and nn.DataParallel put before all names was left out",),
    ),
    "Lightning": (
        {"state_dict": under("model."), "epoch": 1, "pytorch-lightning_version": "2.4.0"},
        (CALLS.format("state_dict"), "the prefix 'model.' before all names was left out"),
    ),
    "a part of a larger network": (under("a.b.c."), ("the prefix 'a.b.c.' before all names was left out",)),
    "NumPy's numbers and settings": (
        {"net": OWN, "acc": np.float64(94.2), "args": argparse.Namespace(lr=0.1), "out": Path("runs")},
        (CALLS.format("net"),),
    ),
    "a profiler's counts": (
        {**OWN, "total_ops": torch.zeros(1), "total_params": torch.zeros(1), "conv.total_ops": torch.zeros(1)},
        ("3 counts of operations among the weights were left out",),
    ),
    "an optimiser's state": (
        {"net": OWN, "optimizer": {"state": {0: {"exp_avg": torch.zeros(8, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}},
        (CALLS.format("net"),),
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_of_training_scripts(tmp_path: Path, name: str) -> None:
    checkpoint, notes = CHECKPOINTS[name]
    assert_read(saved(tmp_path / "m.pth", checkpoint), "Small", *notes)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "net.inner."])
def test_prefixes_in_safetensors(tmp_path: Path, prefix: str) -> None:
    save_file(under(prefix), tmp_path / "m.safetensors")
    opened = read_with_architecture(tmp_path / "m.safetensors", f"{HERE}:Small")
    assert opened.module.state_dict()["fc.bias"].equal(OWN["fc.bias"])
    assert f"the prefix {prefix!r}" in opened.notes[0]


def test_a_prefix_that_is_the_architecture_s_own_stays(tmp_path: Path) -> None:
    assert_read(saved(tmp_path / "m.pth", under("module.")), "InModule")
    said = "the architecture's prefix 'module.' was put before all names"
    assert_read(saved(tmp_path / "m.pth", OWN), "InModule", said)
    assert_read(saved(tmp_path / "m.pth", under("module.module.")), "InModule", PARALLEL)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # in torch.compile
@pytest.mark.parametrize("architecture", ["parallel", "compiled"])
def test_an_architecture_that_is_wrapped_is_that_within(tmp_path: Path, architecture: str) -> None:
    assert_read(saved(tmp_path / "m.pth", under("module.")), architecture, PARALLEL)
    assert_read(saved(tmp_path / "m.pth", OWN), architecture)


def test_the_dictionary_that_fits_best_is_taken_and_others_can_be_named(tmp_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in OWN.items()}
    larger = {f"generator.{number}": torch.zeros(9) for number in range(50)}
    path = saved(tmp_path / "m.pth", {"generator": larger, "model_ema": other, "model": OWN})
    rival = "the file also holds weights of the same shapes under 'model_ema'; another can be chosen by its key"
    assert_read(path, "Small", CALLS.format("model"), rival)
    assert_read(path, "Small", CALLS.format("model"), key="model")
    opened = read_with_architecture(path, f"{HERE}:Small", key="model_ema")
    assert opened.module.state_dict()["fc.bias"].equal(other["fc.bias"])
    with pytest.raises(UnknownNameError, match=r"unknown key in .*m.pth 'modell' .*did you mean 'model'.*generator"):
        read_with_architecture(path, f"{HERE}:Small", key="modell")


SEEN: list[Any] = []


def noting(classes: int) -> nn.Module:
    """A network whose normalisation writes down which version of itself it is given."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))
    module[1].register_load_state_dict_pre_hook(
        lambda _, __, prefix, about, *___: SEEN.append((prefix, about.get("version")))
    )
    return module


def test_versions_of_modules_are_kept_under_prefixes(tmp_path: Path) -> None:
    """Of version 2, a batch normalisation asks for its count of batches, and misses it."""
    SEEN.clear()
    read_with_architecture(saved(tmp_path / "m.pth", nn.DataParallel(noting(3)).state_dict()), f"{HERE}:noting")
    assert SEEN == [("1.", 2)]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {
                "features.0.weight": torch.zeros(8, 3, 3, 3),
                "features.0.bias": torch.zeros(8),
                "head.weight": torch.zeros(5, 8),
            },
            "no name in the file is one of the architecture's, so it is another architecture or lacks a prefix; conv.weight, "
            "conv.bias, fc.weight and 1 more are missing; features.0.weight, features.0.bias, head.weight have no place in it",
        ),
        (
            {name: tensor for name, tensor in OWN.items() if name != "conv.bias"} | {"bn.weight": torch.ones(8)},
            "conv.bias is missing; bn.weight has no place in it",
        ),
        (
            OWN | {"conv.weight": torch.zeros(8, 1, 3, 3)},
            r"the file's network takes 1 channel and the architecture 3; conv.weight is \(8, 1, 3, 3\) in the file",
        ),
    ],
)
def test_what_is_in_the_way_is_said_with_the_likely_reason_first(tmp_path: Path, state: State, sentence: str) -> None:
    with pytest.raises(ModelError, match=f"do not fit the architecture '.*': {sentence}"):
        read_with_architecture(saved(tmp_path / "m.pth", state), f"{HERE}:Small")


def test_another_number_of_classes_is_the_likely_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r": the file has another number of classes; fc.weight is \(5, 8\)"):
        read_with_architecture(saved(tmp_path / "m.pth", OWN), f"{HERE}:Small", classes=4)


def test_grey_weights_are_fed_one_channel(tmp_path: Path) -> None:
    opened = read_with_architecture(saved(tmp_path / "m.pth", grey().state_dict()), f"{HERE}:grey")
    assert opened.channels == 1
    fed = opened.plain_input((28, 28))
    assert fed == InputSpecification(size=(28, 28), channels="grey")
    assert Network.from_module(opened.module, specification=fed)(torch.rand(2, 3, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (Small(7).state_dict(), "the file has 7 classes and the architecture 5"),
        (
            {name: each for name, each in OWN.items() if name != "conv.bias"},
            "the file holds a part of the architecture",
        ),
        (
            {name.replace("conv", "first").replace("fc", "last"): each for name, each in OWN.items()},
            "the shapes are the architecture's, but these names are other ones: rename them",
        ),
    ],
)
def test_other_likely_reasons_of_a_builder_without_a_choice_of_classes(
    tmp_path: Path, state: State, reason: str
) -> None:
    with pytest.raises(ModelError, match=f"do not fit the architecture .*: {reason}"):
        read_with_architecture(saved(tmp_path / "m.pth", state), lambda: Small(5))


def test_one_network_of_several_in_one_dictionary_is_chosen_by_what_its_names_begin_with(tmp_path: Path) -> None:
    """As distillation saves them."""
    both = {f"student.{name}": each for name, each in OWN.items()} | {
        f"teacher.{name}": -each for name, each in OWN.items()
    }
    for key, state, sign in (("teacher", both, -1), ("state_dict/student", {"state_dict": both}, 1)):
        opened = read_with_architecture(saved(tmp_path / "m.pth", state), f"{HERE}:Small", key=key)
        assert torch.equal(dict(opened.module.named_parameters())["fc.bias"], sign * OWN["fc.bias"])
        assert any("names begin with" in note for note in opened.notes)
    with pytest.raises(UnknownNameError, match="unknown key in .* 'stud'"):
        read_with_architecture(tmp_path / "m.pth", f"{HERE}:Small", key="stud")
