"""Odd networks: each opens, from a module and from the formats that hold it, is recorded and stimulated, or says why not."""

import re
import warnings
from collections import OrderedDict, UserDict, UserList, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.formats.onnx_graphs import exported as to_onnx
from torch import Tensor, nn

from trojancam.attribution import grad_cam
from trojancam.errors import ModelError, SeveralOutputsError, UnknownNameError
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate

SIZE = (12, 12)
ANY = ({0: torch.export.Dim("n")},)


def images(count: int) -> Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """A module with the same random weights each time, as for inference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().eval()


def to_program(path: Path, module: nn.Module, batch: int | None = None, channels: int = 3) -> Path:
    shapes = ANY if batch is None else None
    program = torch.export.export(module, (torch.zeros(batch or 2, channels, *SIZE),), dynamic_shapes=shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path)
    return path


def assert_usable(network: Network, expected: Tensor, count: int = 3) -> None:
    """The logits are these, every layer shows something, and a stimulation that changes nothing changes no logit."""
    batch = images(count)
    torch.testing.assert_close(network(batch), expected, rtol=1e-4, atol=1e-5)
    recording = record(network, batch)
    torch.testing.assert_close(recording.logits, expected, rtol=1e-4, atol=1e-5)
    for name, layer in network.layers.items():
        maps = grad_cam(recording)[name].contributions
        assert tuple(maps.shape) == (count, layer.feature_maps, *layer.size)
        assert bool(maps.isfinite().all())
    first = next(iter(network.layers))
    same = stimulate(network, batch, Stimulation(first, 0, "scale", 1.0))
    torch.testing.assert_close(same.after.logits, expected, rtol=1e-4, atol=1e-5)
    changed = stimulate(network, batch, Stimulation(first, 0, "add", 5.0))
    assert not changed.after.logits.equal(expected)


# --- several outputs ---


@dataclass
class Result:
    """As libraries return their results."""

    logits: Tensor
    maps: Tensor
    hidden: Tensor | None = None


Pair = namedtuple("Pair", "maps logits")


class Output(dict[str, Any]):
    """As libraries let their results be asked for by name and by key."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Ordered(OrderedDict[str, Any]):
    """Results that keep their order."""


class Mapped(UserDict[str, Any]):
    """A mapping that is no dict."""


class Held:
    """Results as attributes, beside what is none."""

    def __init__(self, maps: Tensor, logits: Tensor) -> None:
        self.maps, self.logits, self.settings, self._own = maps, logits, object(), logits


RETURNED: dict[str, Callable[[Tensor, Tensor, Tensor], Any]] = {
    "tuple": lambda maps, logits, other: (maps, logits, other),
    "list": lambda maps, logits, other: [maps, [logits, other]],
    "dict": lambda maps, logits, other: {"maps": maps, "auxiliary": other, "logits": logits},
    "named tuple": lambda maps, logits, _: Pair(maps, logits),
    "dataclass": lambda maps, logits, _: Result(logits, maps),
    "kind of dict": lambda maps, logits, _: Output(maps=maps, logits=logits),
    "kind of ordered dict": lambda maps, logits, _: Ordered(maps=maps, logits=logits),
    "mapping": lambda maps, logits, _: Mapped(maps=maps, logits=logits),
    "namespace": lambda maps, logits, _: SimpleNamespace(maps=maps, logits=logits),
    "object": lambda maps, logits, _: Held(maps, logits),
    "dataclass in dict": lambda maps, logits, _: {"out": Result(logits, maps)},
    "kinds in kinds": lambda maps, logits, _: (UserList([maps]), Output(out=Mapped(logits=logits, device=maps.device))),
}
CALLED = {
    "tuple": ("0, 1, 2", "1"),
    "list": ("0, 1.0, 1.1", "1.0"),
    "dict": ("maps, auxiliary, logits", "logits"),
    "named tuple": ("maps, logits", "logits"),
    "dataclass": ("logits, maps", "logits"),
    **dict.fromkeys(
        ("kind of dict", "kind of ordered dict", "mapping", "namespace", "object"), ("maps, logits", "logits")
    ),
    "dataclass in dict": ("out.logits, out.maps", "out.logits"),
    "kinds in kinds": ("0.0, 1.out.logits, 1.out.device", "1.out.logits"),
}


class Several(nn.Module):
    """Returns its maps, its logits, and those of an auxiliary head."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, 4, 3)
        self.head, self.auxiliary = nn.Linear(4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Any:
        maps = F.relu(self.conv(x))
        means = maps.mean((2, 3))
        return RETURNED[self.kind](maps, self.head(means), self.auxiliary(means))

    def logits(self, x: Tensor, auxiliary: bool = False) -> Tensor:
        means = F.relu(self.conv(x)).mean((2, 3))
        return (self.auxiliary if auxiliary else self.head)(means).detach()


@pytest.mark.parametrize("kind", RETURNED)
def test_of_several_results_the_logits_are_found(kind: str) -> None:
    module = made(lambda: Several(kind))
    if kind in ("tuple", "list"):  # without a name, only the number of classes tells
        with pytest.raises(SeveralOutputsError, match="can be its logits .*; say which with output="):
            Network.from_module(module, SIZE)
    network = Network.from_module(module, SIZE, class_names=None if CALLED[kind][1].endswith("logits") else list("abc"))
    listed, taken = CALLED[kind]
    assert network.notes == (f"of its outputs ({listed}) {taken!r} is taken for the logits",)
    assert "forward" not in vars(module)
    assert_usable(network, module.logits(images(3)))


def test_another_result_is_chosen_by_name_or_number() -> None:
    module = made(lambda: Several("dict"))
    expected = module.logits(images(3), auxiliary=True)
    for wanted in ("auxiliary", 1, "1"):
        network = Network.from_module(module, SIZE, output=wanted)
        assert network.notes == ("of its outputs (maps, auxiliary, logits) 'auxiliary' is taken for the logits",)
        torch.testing.assert_close(network(images(3)), expected)
    for wrong in ("logit", 3, -1):
        with pytest.raises(UnknownNameError, match=f"unknown output '{wrong}'.*known: maps, auxiliary, logits"):
            Network.from_module(module, SIZE, output=wrong)
    with pytest.raises(ModelError, match=r"logits of shape \(n, classes\), .* of shape \(n, 4, 10, 10\)"):
        Network.from_module(module, SIZE, output="maps")


def test_a_single_result_has_no_name_to_choose() -> None:
    module = made(lambda: nn.Sequential(nn.Conv2d(3, 4, 12), nn.Flatten()))
    assert Network.from_module(module, SIZE, output=0).notes == ()
    with pytest.raises(UnknownNameError, match="unknown output 'logits'; known: 0"):
        Network.from_module(module, SIZE, output="logits")


def test_a_result_that_is_no_tensor_is_refused() -> None:
    class Words(Several):
        def forward(self, x: Tensor) -> Any:
            return {"words": "a stop sign", "logits": super().forward(x)[1]}

    module = made(lambda: Words("tuple"))
    assert_usable(Network.from_module(module, SIZE), module.logits(images(3)))
    with pytest.raises(ModelError, match="this module gives no tensor"):
        Network.from_module(module, SIZE, output="words")


class Endless:
    """Holds itself, and no tensor."""

    def __init__(self) -> None:
        self.own = self


@pytest.mark.parametrize("result", [object(), [Endless()], {"inside": {1, 2}}, nn.ReLU()])
def test_a_result_of_another_kind_is_refused_with_the_remedy(result: Any) -> None:
    class Odd(Several):
        def forward(self, x: Tensor) -> Any:
            super().forward(x)
            return result

    with pytest.raises(ModelError) as caught:
        Network.from_module(made(lambda: Odd("tuple")), SIZE)
    kind = type(result["inside"] if isinstance(result, dict) else result[0] if isinstance(result, list) else result)
    assert re.fullmatch(
        rf"this module returns an object of the kind \S+{kind.__name__}, in which no tensors are found; "
        "return a tensor, or a dict of tensors",
        str(caught.value),
    )


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_results_of_exported_programs_keep_their_names(tmp_path: Path, kind: str) -> None:
    module = made(lambda: Several(kind))
    path = to_program(tmp_path / "m.pt2", module)
    listed, taken = CALLED[kind]
    network = load(path, class_names=list("abc"))
    assert network.notes[:1] == (f"of its outputs ({listed}) {taken!r} is taken for the logits",)
    assert_usable(network, module.logits(images(3)))
    other = listed.split(", ")[1 if kind == "dict" else 2]
    torch.testing.assert_close(load(path, output=other)(images(3)), module.logits(images(3), auxiliary=True))
    with pytest.raises(UnknownNameError, match=f"unknown output 'mops'.*known: {listed}"):
        load(path, output="mops")


def test_results_of_weights_and_of_onnx_files_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = made(lambda: Several("tuple"))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    (tmp_path / "odd_author.py").write_text(
        "from tests.opening.test_odd_networks import Several\n\ndef build():\n    return Several('tuple')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    expected = module.logits(images(3), auxiliary=True)
    specification = InputSpecification(size=SIZE)
    weights = load(tmp_path / "m.pt", architecture="odd_author:build", output="2", preprocessing=specification)
    torch.testing.assert_close(weights(images(3)), expected)
    path = to_onnx(tmp_path / "m.onnx", module, SIZE, dynamo=False, opset=17)
    torch.testing.assert_close(load(path, output=2)(images(3)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(SeveralOutputsError, match=r"can be its logits \(.*, .*\); say which with output="):
        load(path)
    assert_usable(load(path, output=1), module.logits(images(3)))


# --- one number for each image, many classes, grey images, a fixed number of images ---


def binary(last: nn.Module | None = None) -> nn.Module:
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)]
    return nn.Sequential(*parts, *([] if last is None else [last]))


TWO = "it gives one number for each image: taken for what speaks for class 1 and against class 0"


@pytest.mark.parametrize(("last", "file"), [(None, ""), (None, "m.pt2"), (nn.Sigmoid(), ""), (nn.Sigmoid(), "m.onnx")])
def test_one_number_for_each_image_becomes_two_classes(tmp_path: Path, last: nn.Module | None, file: str) -> None:
    module = made(lambda: binary(last))
    path = tmp_path / file
    if file == "m.pt2":
        to_program(path, module)
    elif file:
        to_onnx(path, module, SIZE, dynamo=False, opset=17)
    network = load(path) if file else Network.from_module(module, SIZE)
    number = module[:5](images(3)).detach()
    assert_usable(network, torch.cat([-number / 2, number / 2], 1))
    torch.testing.assert_close(network(images(3)).softmax(1)[:, 1:], number.sigmoid())
    assert network.class_names == ("class 0", "class 1")
    assert network.notes[-1] == TWO
    assert any("ends in a sigmoid" in note for note in network.notes) == (last is not None)


def test_heat_maps_of_both_of_two_classes_show_the_same_with_another_sign() -> None:
    network = Network.from_module(made(binary), SIZE)
    no, yes = (grad_cam(record(network, images(2), logit(c)))["0"].contributions for c in (0, 1))
    assert bool(yes.any())
    torch.testing.assert_close(no, -yes)


def test_sigmoids_of_several_classes_are_taken_back_too() -> None:
    module = made(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3), nn.Sigmoid()))
    network = Network.from_module(module, SIZE)
    assert network.notes == ("it ends in a sigmoid: its logits are taken before that",)
    assert_usable(network, module[:4](images(3)).detach())


@pytest.mark.parametrize("classes", [2, 1000])
def test_few_classes_and_many(tmp_path: Path, classes: int) -> None:
    module = made(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, classes)))
    network = load(to_program(tmp_path / "m.pt2", module))
    assert len(network.class_names) == classes
    assert_usable(network, module(images(3)).detach())


def small(channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(400, 3)
    )


def grey_onnx(path: Path, module: nn.Module, channels: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, channels, *SIZE),), path, dynamo=False, verbose=False)
    return path


@pytest.mark.parametrize("write", [to_program, grey_onnx], ids=["pt2", "onnx"])
def test_grey_images(tmp_path: Path, write: Callable[..., Path]) -> None:
    module = made(lambda: small(1))
    path = tmp_path / ("m.pt2" if write is to_program else "m.onnx")
    network = load(write(path, module, channels=1))
    assert network.input.channels == "grey"
    luma = (images(3) * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert_usable(network, module(luma).detach())


@pytest.mark.parametrize("file", ["m.pt2", "m.onnx"])
def test_files_made_for_one_image_take_any_number(tmp_path: Path, file: str) -> None:
    module, path = made(small), tmp_path / file
    if file == "m.pt2":
        to_program(path, module, batch=1)
    else:
        to_onnx(path, module, SIZE, dynamo=False, opset=18, batch=1)
    network = load(path)
    assert any("any number" in note for note in network.notes)
    assert_usable(network, module(images(3)).detach())


# --- what convolutions do ---


class Reusing(nn.Module):
    """One convolution twice, operations in place, gates made of a mean, and branches side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.shared = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu_()
        x = F.relu(self.shared(x), inplace=True)
        x = self.shared(x).relu_()
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = torch.cat([x * gate, F.hardswish(self.depthwise(x))], 1)
        x *= 2
        return self.head(x.mean((2, 3)))


class PatchTransformer(nn.Module):
    """A vision transformer: patches by a convolution, a class token, places, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 10, 16))
        self.attention, self.norm = nn.MultiheadAttention(16, 2, batch_first=True), nn.LayerNorm(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        cells = self.patches(x).flatten(2).transpose(1, 2)
        cells = torch.cat([self.token.expand(x.shape[0], -1, -1), cells], 1) + self.places
        normed = self.norm(cells)
        cells = cells + self.attention(normed, normed, normed, need_weights=False)[0]
        return self.head(cells[:, 0])


def transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(4, 5, 2, stride=2), nn.ReLU(),
        nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


LAYERS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "reusing": (Reusing, ["stem", "shared", "shared#2", "squeeze", "excite", "depthwise"]),
    "patches": (PatchTransformer, ["patches"]),
    "transposed": (transposed, ["0", "2", "4"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_networks_of_odd_parts(tmp_path: Path, name: str) -> None:
    build, layers = LAYERS[name]
    module = made(build)
    expected = module(images(3)).detach()
    direct, program = Network.from_module(module, SIZE), load(to_program(tmp_path / "m.pt2", module))
    read = load(to_onnx(tmp_path / "m.onnx", module, SIZE, dynamo=False, opset=17))
    for network in (direct, program, read):
        assert_usable(network, expected)
    assert list(direct.layers) == list(program.layers) == layers
    apart = [layer.replace("#", "_") for layer in layers]  # an ONNX file has a node for each call
    assert sorted(read.layers) == sorted(apart if name == "reusing" else layers)


class Deep(nn.Module):
    """Convolutions of one and three dimensions, with a two-dimensional one before them or without."""

    def __init__(self, dimensions: int, two: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1) if two else nn.Identity()
        self.second = {1: nn.Conv1d(3, 4, 3), 3: nn.Conv3d(3, 4, (1, 3, 3))}[dimensions]
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = x.flatten(2) if isinstance(self.second, nn.Conv1d) else x.unsqueeze(2)
        return self.head(F.relu(self.second(x)).flatten(2).mean(2))


@pytest.mark.parametrize("dimensions", [1, 3])
def test_convolutions_of_one_and_three_dimensions_are_passed_over(tmp_path: Path, dimensions: int) -> None:
    module = made(lambda: Deep(dimensions, two=True))
    for network in (Network.from_module(module, SIZE), load(to_program(tmp_path / "m.pt2", module))):
        assert list(network.layers) == ["first"]
        assert_usable(network, module(images(3)).detach())
    alone = made(lambda: Deep(dimensions, two=False))
    network = Network.from_module(alone, SIZE)
    assert list(network.layers) == ["pixels"]
    assert_usable(network, alone(images(3)).detach())


@pytest.mark.parametrize("file", ["m.pt2", "m.onnx"])
def test_a_file_without_a_convolution_has_the_channels_of_the_image_as_a_layer(tmp_path: Path, file: str) -> None:
    module = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 4)))
    path = tmp_path / file
    if file == "m.pt2":
        to_program(path, module)
    else:
        to_onnx(path, module, SIZE, dynamo=False, opset=17)
    network = load(path)
    assert list(network.layers) == ["pixels"]
    assert_usable(network, module(images(3)).detach())


# --- weights of other widths ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_in_files_become_32_and_that_is_said(tmp_path: Path, dtype: torch.dtype) -> None:
    module = made(small).to(dtype)
    program = torch.export.export(module, (torch.zeros(2, 3, *SIZE, dtype=dtype),), dynamic_shapes=ANY)
    torch.export.save(program, tmp_path / "m.pt2")
    network = load(tmp_path / "m.pt2")
    assert any("32-bit" in note for note in network.notes)
    with pytest.raises(ModelError, match=r"are torch\..*float16; convert the module with module.float\(\)"):
        Network.from_module(module, SIZE)
    assert_usable(network, module.float()(images(3)).detach())


# --- activations that have no operation of their own ---

WRITTEN_OUT: dict[str, Callable[[Tensor], Tensor]] = {
    "softsign": F.softsign,
    "exponential": torch.exp,
    "tanhshrink": F.tanhshrink,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "squareplus": lambda x: (x + (x * x + 4).sqrt()) / 2,
    "hardswish": lambda x: x * F.relu6(x + 3) / 6,
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "mish": lambda x: x * torch.tanh(F.softplus(x)),
    "leaky": lambda x: torch.where(x > 0, x, 0.1 * x),
    "masked": lambda x: x * (x > 0),
    "bounded": lambda x: torch.maximum(x, torch.tensor(0.1)),
}


class Activated(nn.Module):
    """All of them side by side, each after a convolution of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleDict({name: nn.Conv2d(3, 4, 3, stride=2) for name in WRITTEN_OUT})
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(sum(WRITTEN_OUT[name](conv(x)) for name, conv in self.convs.items())).mean((2, 3))


@pytest.mark.filterwarnings("ignore:.*was assigned during export")
def test_activations_that_are_written_out_end_their_layers() -> None:
    module = made(Activated)
    network = Network.from_module(module, SIZE)
    assert_usable(network, module(images(3)).detach())
    _, values = network.forward_with(images(3), [f"convs.{name}" for name in WRITTEN_OUT])
    for (name, activation), value in zip(WRITTEN_OUT.items(), values, strict=True):
        torch.testing.assert_close(value, activation(module.convs[name](images(3)).detach()), msg=name)
        placed = network.layer(f"convs.{name}").placement.rows
        assert (placed.stride, placed.offset) == (2, 1)
    assert (
        network.layer("last").placement == network.layer("convs.softsign").placement
    )  # cells are followed through them


def test_ways_that_meet_again_after_another_convolution_are_no_activation() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return (x + self.second(x.abs())).mean((2, 3))

    module = made(Residual)
    _, (value,) = Network.from_module(module, SIZE).forward_with(images(2), ["first"])
    torch.testing.assert_close(value, module.first(images(2)).detach())
