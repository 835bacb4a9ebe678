"""Weights that come alone: put into an architecture that is named beside them, or refused with what does not fit."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.formats.hostile_pytorch import small
from tests.nets import randomised
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.errors import ModelError, UnknownNameError
from trojancam.formats.weights.architecture import built, named, read_with_architecture
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network

HERE = "tests.formats.weights.test_architecture"


def with_classes(num_classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Linear(4, 100), nn.Linear(100, num_classes), nn.Linear(num_classes, num_classes)
    )


def positional(maps: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, maps))


def all_convolutional(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, classes, 1))


def gated(classes: int = 2) -> nn.Module:
    """Its classifier comes before its gate, by name and in the file."""
    return nn.ModuleDict({"classifier": nn.Linear(8, classes), "gate": nn.Linear(8, 4), "conv": nn.Conv2d(3, 4, 3)})  # type: ignore[return-value]


class Own(nn.Module):
    """A class of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


def needs_numbers(classes: int) -> nn.Module:
    """Cannot be built without numbers."""
    module = nn.Sequential(nn.Linear(4, classes))
    module.scale = float(module[0].weight.detach().sum())  # type: ignore[assignment]
    return module


def two_things(width: int, height: int) -> nn.Module:
    return nn.Identity()


def failing() -> nn.Module:
    raise OSError("no such dataset\nat all")


def nothing() -> int:
    return 3


value = 3


def saved(path: Path, module: nn.Module | dict[str, Tensor]) -> Path:
    torch.save(module.state_dict() if isinstance(module, nn.Module) else module, path)
    return path


def refused(path: Path, name: str, sentence: str, **options: Any) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        read_with_architecture(path, name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_registered_architectures(tmp_path: Path, name: str) -> None:
    original = randomised(architecture(name).build(43)).eval()
    images = torch.rand(3, 3, 32, 32)
    safetensors.torch.save_file(original.state_dict(), tmp_path / "m.safetensors")
    for path in (saved(tmp_path / "m.pt", original), tmp_path / "m.safetensors"):
        opened = read_with_architecture(path, name)
        assert opened.module(images).equal(original(images))
        assert not any(part.training for part in opened.module.modules())
        assert (opened.name, opened.size, opened.input) == (name, (32, 32), architecture(name).input)


def test_the_network_of_weights_alone_is_that_of_the_module(tmp_path: Path) -> None:
    original, images = randomised(architecture("basic").build(43)).eval(), torch.rand(3, 3, 32, 32)
    opened = read_with_architecture(saved(tmp_path / "m.pt", original), "basic")
    network = Network.from_module(opened.module, specification=opened.input)
    direct = Network.from_module(original, specification=opened.input)
    assert list(network.layers) == list(direct.layers)
    assert network(images).equal(direct(images))


def test_weights_may_not_claim_a_network_that_is_larger_than_they_are(tmp_path: Path) -> None:
    """It is compared with the architecture before that takes any memory."""
    state = architecture("basic").build(2).state_dict()
    state["dense_3.weight"] = torch.empty(90_000, 0)
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"dense_3.weight is \(90000, 0\) in the file and \(90000, 128\)"):
        read_with_architecture(tmp_path / "m.pt", "basic")
    state["dense_3.weight"] = torch.empty(1_000_000, 0)
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(ModelError, match="has weights for 1000000 classes, but a network here has 1 to 100000"):
        read_with_architecture(tmp_path / "m.pt", "basic")


@pytest.mark.parametrize(
    ("build", "classes"),
    [
        (with_classes, 10),
        (with_classes, 3),
        (positional, 7),
        (all_convolutional, 6),
        (gated, 5),
        (needs_numbers, 9),
        (Own, None),
    ],
)
def test_own_code_and_its_number_of_classes(
    tmp_path: Path, build: Callable[..., nn.Module], classes: int | None
) -> None:
    original = build(classes) if classes else build()
    safetensors.torch.save_file(original.state_dict(), tmp_path / "m.safetensors")
    for path in (saved(tmp_path / "m.pt", original), tmp_path / "m.safetensors"):
        opened = read_with_architecture(path, f"{HERE}:{build.__name__}")
        for name, tensor in opened.module.state_dict().items():
            assert tensor.equal(original.state_dict()[name])


def test_own_code_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_network_of_today.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Linear(2, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    path = saved(tmp_path / "m.pt", nn.Sequential(nn.Linear(2, 2)))
    assert isinstance(read_with_architecture(path, "my_network_of_today:net").module[0], nn.Linear)  # type: ignore[index]
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "my_network_of_today")


def test_own_code_in_a_file_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may import what lies beside it, hold dataclasses, and bear the name of a module that is imported already."""
    folder = tmp_path / "their code"
    folder.mkdir()
    (folder / "widths_of_today.py").write_text("WIDTH = 2\n")
    (folder / "torch.py").write_text(
        "from dataclasses import dataclass\nimport torch.nn\nfrom widths_of_today import WIDTH\n"
        "@dataclass\nclass Plan:\n    width: 'int' = WIDTH\n"
        "def net(): return torch.nn.Sequential(torch.nn.Linear(Plan().width, 2))\n"
    )
    before, modules = list(sys.path), dict(sys.modules)
    path = saved(tmp_path / "m.pt", nn.Sequential(nn.Linear(2, 2)))
    monkeypatch.chdir(folder)
    for name in (folder / "torch.py", Path("torch.py"), Path("..", "their code", "torch.py")):
        assert isinstance(read_with_architecture(path, f"{name}:net").module[0], nn.Linear)  # type: ignore[index]
    assert sys.path == before
    assert sys.modules["torch"] is modules["torch"]
    for added in sys.modules.keys() - modules.keys():
        monkeypatch.delitem(sys.modules, added)


@pytest.mark.parametrize(
    ("code", "name", "sentence"),
    [
        (None, "net.py:build", r"needs the Python file .*net.py, which is not there; check its name.*file.py:callable"),
        (
            "value = 3",
            "net.py:build",
            r"there is no build in the file .*net.py; name the architecture as file.py:callable",
        ),
        ("value = 3", "net.py:value", "net.py:value is an int, which cannot be called"),
        ("value = 3", "net.py", r"say what builds yours, as .*net.py:callable"),
        (
            "raise OSError('no disk')",
            "net.py:build",
            "needs the file .*net.py, but running that fails: no disk; correct",
        ),
        ("raise SystemExit", "net.py:build", "running that fails: SystemExit; correct"),
        ("def build(:", "net.py:build", "running that fails: invalid syntax"),
        ("value = 3", "net:build", "needs the Python file .*net, which is not there"),
    ],
)
def test_files_that_build_nothing(tmp_path: Path, code: str | None, name: str, sentence: str) -> None:
    if code is not None:
        (tmp_path / "net.py").write_text(code)
    before = dict(sys.modules)
    refused(saved(tmp_path / "m.pt", small()), f"{tmp_path / name}", sentence)
    for added in sys.modules.keys() - before.keys():
        del sys.modules[added]


def test_installed_modules_come_before_those_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may be where the hostile file was unpacked."""
    (tmp_path / "wave.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    refused(saved(tmp_path / "m.pt", small()), "wave:net", "there is no net in the module wave")


def test_prefixed_names_never_come_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    refused(saved(tmp_path / "m.pt", small()), "timm:resnet18", "needs the module 'timm'.*pip install timm")


def test_timm_and_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create_model(name: str, pretrained: bool, num_classes: int) -> nn.Module:
        asked.append((name, pretrained, num_classes))
        return with_classes(num_classes)

    def get_model(name: str, weights: None, num_classes: int) -> nn.Module:
        return create_model(name, bool(weights), num_classes)

    timm, torchvision, models = ModuleType("timm"), ModuleType("torchvision"), ModuleType("torchvision.models")
    timm.create_model, models.get_model = create_model, get_model  # type: ignore[attr-defined]
    for module in (timm, torchvision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    path = saved(tmp_path / "m.pt", with_classes(43))
    for prefix in ("timm", "torchvision"):
        opened = read_with_architecture(path, f"{prefix}:resnet18")
        assert opened.name == "resnet18"
        assert opened.module.state_dict()["3.weight"].shape == (43, 43)
    assert asked[-1] == ("resnet18", False, 43)
    assert {pretrained for _, pretrained, _ in asked} == {False}


def test_how_timm_says_that_its_own_weights_are_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = ModuleType("timm")
    timm.create_model = lambda name, pretrained, num_classes: with_classes(num_classes)  # type: ignore[attr-defined]
    said = SimpleNamespace(input_size=(3, 12, 12), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1), crop_pct=0.875)
    timm.get_pretrained_cfg = {"resnet18": said, "other": None}.__getitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    path = saved(tmp_path / "m.pt", with_classes(43))
    opened = read_with_architecture(path, "timm:resnet18")
    assert opened.size == (12, 12)
    assert opened.input == InputSpecification(size=(12, 12), mean=said.mean, std=said.std, crop=0.875)
    assert read_with_architecture(path, "timm:other").input is None


def test_timm_and_torchvision_where_they_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("timm", "torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    path = saved(tmp_path / "m.pt", small())
    refused(
        path, "timm:resnet18", "the architecture timm:resnet18 needs the module 'timm'.*; install it: pip install timm"
    )
    refused(
        path,
        "torchvision:resnet18",
        "needs the module 'torchvision.models', but .*; install it: pip install torchvision",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module_here:net", "needs the module 'no_such_module_here', but No module named"),
        (f"{HERE}:no_such_function", "there is no no_such_function in the module"),
        (f"{HERE}:value", "is an int, which cannot be called"),
        (f"{HERE}:two_things", "wants width, height; write a function"),
        (f"{HERE}:failing", "cannot be built: no such dataset"),
        (f"{HERE}:nothing", "gives a int, not a torch.nn.Module"),
    ],
)
def test_what_builds_nothing(tmp_path: Path, name: str, sentence: str) -> None:
    refused(saved(tmp_path / "m.pt", small()), name, sentence)


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown architecture 'resnett' .*did you mean 'resnet'"):
        read_with_architecture(saved(tmp_path / "m.pt", small()), "resnett")


def test_nothing_is_built_for_a_file_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.pt").write_bytes(b"no model")
    refused(tmp_path / "m.pt", f"{HERE}:failing", "neither a zip archive nor a pickle")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"0.bias": None}, "0.bias is missing; check"),
        ({"9.bias": torch.ones(1)}, "9.bias has no place in it"),
        ({"3.bias": torch.ones(3)}, r"3.bias is \(3,\) in the file and \(2,\) in the architecture"),
        ({f"{i}.x": torch.ones(1) for i in range(9)}, "0.x, 1.x, 2.x and 6 more have no place in it"),
        ({"3.bias": torch.tensor([0, torch.nan])}, "the weights 3.bias in .* are not finite"),
        ({"3.bias": torch.tensor([0, -torch.inf])}, "the weights 3.bias in .* are not finite"),
        ({"3.bias": torch.ones(2, dtype=torch.complex64)}, "3.bias in .* are complex"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, change: dict[str, Tensor | None], sentence: str) -> None:
    state = {name: tensor for name, tensor in {**small().state_dict(), **change}.items() if tensor is not None}
    refused(saved(tmp_path / "m.pt", state), "tests.formats.hostile_pytorch:small", sentence)


def test_the_number_of_classes_can_be_given(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", architecture("basic").build(3))
    assert read_with_architecture(path, "basic", classes=3).module.dense_3.bias.shape == (3,)  # type: ignore[union-attr]
    refused(path, "basic", r"dense_3.weight is \(3, 128\) in the file and \(4, 128\) in the architecture", classes=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_32_bit_ones_and_that_is_said(tmp_path: Path, dtype: torch.dtype) -> None:
    original = randomised(architecture("basic").build(3)).to(dtype)
    opened = read_with_architecture(saved(tmp_path / "m.pt", original), "basic")
    assert opened.notes == (f"weights in {str(dtype).removeprefix('torch.')} were made 32-bit floats",)
    for name, tensor in opened.module.state_dict().items():
        expected = original.state_dict()[name]
        assert tensor.equal(expected.float() if expected.is_floating_point() else expected)


def test_counts_of_batches_may_be_missing(tmp_path: Path) -> None:
    """Files of before PyTorch 0.4.1 have none."""
    state = {name: t for name, t in architecture("basic").build(3).state_dict().items() if "num_batches" not in name}
    read_with_architecture(saved(tmp_path / "m.pt", state), "basic")


def test_building_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    built(named("basic"), 3)
    assert torch.get_rng_state().equal(before)


def test_files_of_two_folders_each_have_the_modules_beside_them(tmp_path: Path) -> None:
    """Of the same names; also those that are imported when the network is built."""
    path = list(sys.path)
    for folder, classes in (("a", 3), ("b", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_both.py").write_text(f"CLASSES = {classes}\n")
        (tmp_path / folder / "late_of_both.py").write_text(f"WIDTH = {classes}\n")
        (tmp_path / folder / "net.py").write_text(
            "import torch\nfrom beside_both import CLASSES\n\n"
            "def build():\n    from late_of_both import WIDTH\n"
            "    return torch.nn.Sequential(torch.nn.Conv2d(3, WIDTH, 3), torch.nn.Flatten(), torch.nn.LazyLinear(CLASSES))\n"
        )
    for folder, classes in (("a", 3), ("b", 5), ("a", 3)):
        module = named(f"{tmp_path / folder}/net.py:build").build(classes)
        assert module[0].out_channels == classes
        assert module[2].out_features == classes
    assert sys.path == path
