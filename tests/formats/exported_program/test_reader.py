"""Exported programs: the network that was exported comes back with its layers' names, though PyTorch's loader is not used."""

import contextlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.formats.hostile_pytorch import (
    code,
    graph_of,
    hostile_expression,
    members,
    plain_program,
    program_changed,
    small,
    torch_saved,
    zipped,
)
from tests.nets import NETS, SIZE, images, randomised
from tests.nets import build as in_training
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.errors import ModelError, SeveralOutputsError, UnknownNameError
from trojancam.formats.exported_program.expressions import is_arithmetic
from trojancam.formats.exported_program.module import Replayed
from trojancam.formats.exported_program.reader import read_exported_program
from trojancam.formats.opened import OpenedModel
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.outputs import Output

ANY = ({0: Dim("n")},)


def build(name: str) -> nn.Module:
    return in_training(name).eval()


def exported(
    module: nn.Module, size: tuple[int, int] = SIZE, batch: int | None = None, channels: int = 3
) -> ExportedProgram:
    example = torch.zeros(batch or 2, channels, *size)
    return export(module, (example,), dynamic_shapes=ANY if batch is None else None)


def opened(path: Path, program: ExportedProgram, output: Output = None) -> OpenedModel:
    torch.export.save(program, path / "m.pt2")
    return read_exported_program(path / "m.pt2", output)


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        read_exported_program(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def assert_same_network(module: nn.Module, read: OpenedModel, size: tuple[int, int]) -> None:
    """The same logits, layers, groups of parameters and placements as the module itself gives."""
    specification = InputSpecification(size=size)
    ours, direct = (Network.from_module(item, specification=specification) for item in (read.module, module))
    batch = images(5, size=size)
    with torch.no_grad():
        expected = module(batch)
    torch.testing.assert_close(ours(batch), expected, rtol=1e-5, atol=1e-6)
    assert ours.layers.keys() == direct.layers.keys()
    for name, layer in direct.layers.items():
        other = ours.layers[name]
        assert (other.feature_maps, other.size, other.placement) == (layer.feature_maps, layer.size, layer.placement)
        values = (network.forward_with(batch, [name])[1][0] for network in (ours, direct))
        torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
    assert {group: set(names) for group, names in ours.parameter_groups.items()} == {
        group: set(names) for group, names in direct.parameter_groups.items()
    }


# --- what comes back ---


@pytest.mark.parametrize(
    ("name", "batch"), [*((name, None) for name in NETS), ("plain", 1), ("residual", 1), ("residual", 2)]
)
def test_small_networks_come_back(tmp_path: Path, name: str, batch: int | None) -> None:
    module = build(name)
    read = opened(tmp_path, exported(module, batch=batch))
    assert (read.size, read.channels, read.format, read.name) == (SIZE, 3, "exported program", "m")
    fixed = (f"it was exported for batches of {batch} and made to take any number of images",)
    assert read.notes == (fixed if batch else ())
    assert_same_network(module, read, SIZE)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_come_back(tmp_path: Path, name: str) -> None:
    module = randomised(architecture(name).build(43)).eval()
    assert_same_network(module, opened(tmp_path, exported(module, (32, 32))), (32, 32))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("name", ["residual", "plain"])
def test_decomposed_programs_come_back(tmp_path: Path, name: str) -> None:
    module = build(name)
    program = exported(module).run_decompositions({})
    assert_same_network(module, opened(tmp_path, program), SIZE)
    assert_same_network(module, opened(tmp_path, exported(module).run_decompositions()), SIZE)


class Sizes(nn.Module):
    """Asks for the number of images in the ways that people write."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.token = nn.Parameter(torch.rand(1, 1, 4))
        self.dense = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        maps = self.conv(x).reshape(n, 4, -1).transpose(1, 2)
        rows = torch.cat([self.token.expand(n, -1, -1), maps], dim=1)
        rows = rows + torch.zeros(n, 1, 4)
        return self.dense(rows.mean(1).view(x.size(0), 4))


def test_the_number_of_images_is_asked_for(tmp_path: Path) -> None:
    module = Sizes().eval()
    assert_same_network(module, opened(tmp_path, exported(module)), SIZE)


class Attending(nn.Module):
    """Squeeze and excite, interpolation, chunks, and attention over cells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dense = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        first, second = x.chunk(2, dim=1)
        x = torch.cat([F.interpolate(first, scale_factor=0.5), F.avg_pool2d(second, 2)], dim=1)
        cells = x.flatten(2).transpose(1, 2)
        return self.dense(F.layer_norm(self.attention(cells, cells, cells)[0].mean(1), (8,)))


def test_gates_chunks_and_attention_come_back(tmp_path: Path) -> None:
    module = Attending().eval()
    assert_same_network(module, opened(tmp_path, exported(module)), SIZE)


class Tied(nn.Module):
    """Two modules with one weight, a convolution without a module, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        self.second.weight = self.first.weight
        self.kernel = nn.Parameter(torch.rand(4, 3, 3, 3))
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x)))) * self.scale
        return F.conv2d(x, self.kernel).mean((2, 3)) + torch.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.mark.filterwarnings("ignore:.*was assigned during export")
def test_tied_weights_keep_the_names_of_both_modules(tmp_path: Path) -> None:
    module = Tied().eval()
    read = opened(tmp_path, exported(module))
    assert_same_network(module, read, SIZE)
    assert list(Network.from_module(read.module, SIZE).layers)[:2] == ["first", "second"]
    assert read.module.first.weight is read.module.second.weight  # type: ignore[union-attr]


PARTS: list[nn.Module] = [
    *(
        kind()
        for kind in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh)
    ),
    *(kind() for kind in (nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.PReLU, nn.RReLU, nn.Softplus)),
    *(kind() for kind in (nn.LogSigmoid, nn.Softsign, nn.Dropout2d, nn.AlphaDropout)),
    *(
        nn.Threshold(0.1, 0.2),
        nn.GELU("tanh"),
        nn.Softmax(1),
        nn.LogSoftmax(1),
        nn.GLU(1),
        nn.Hardshrink(),
        nn.Softshrink(),
    ),
    *(nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.LayerNorm(SIZE)),
    *(nn.LocalResponseNorm(2), nn.BatchNorm2d(4, track_running_stats=False)),
    *(nn.MaxPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2), nn.LPPool2d(2, 2)),
    *(nn.Upsample(scale_factor=2, mode=mode) for mode in ("nearest", "bilinear", "bicubic")),
    *(nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.ConstantPad2d(1, 0.5), nn.CircularPad2d(1)),
    *(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2), nn.ConvTranspose2d(4, 2, 2)),
    *(nn.Conv2d(4, 4, 3, groups=2, dilation=2), nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect")),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_the_usual_parts_of_networks_are_among_the_operations(tmp_path: Path, part: nn.Module) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), part, nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    ).eval()
    read = opened(tmp_path, exported(module))
    torch.testing.assert_close(read.module(images(3))[0], module(images(3)))


class Named(nn.Module):
    """A network with a part of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Conv2d(3, 4, 3))
        self.head = nn.Linear(4, 5)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.head(getattr(self, self.name)(x).relu().mean((2, 3)))


@pytest.mark.parametrize("name", ["program", "channels_last", "replayed", "steps", "listed", "graph", "lambda_"])
def test_parts_are_called_what_their_author_likes(tmp_path: Path, name: str) -> None:
    module = Named(name).eval()
    assert_same_network(module, opened(tmp_path, exported(module)), SIZE)


OWN = ("_by_steps", "_channels_last", "_has_place", "_place", "_places", "_program", "_run")


def test_the_names_below_are_all_that_the_module_needs_itself(tmp_path: Path) -> None:
    read = opened(tmp_path, exported(build("plain"))).module
    needed = {*vars(Replayed), *vars(read)} - {*vars(nn.Module()), *dir(nn.Module)}
    assert sorted(name for name in needed if not name.startswith("_abc") and not name.startswith("__")) == list(OWN)


@pytest.mark.parametrize("name", OWN)
def test_names_that_the_module_needs_itself_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    torch.export.save(exported(Named(name).eval()), tmp_path / "m.pt2")
    refused(tmp_path / "m.pt2", "impossible name")


class TwoOutputs(nn.Module):
    """What the logits are made of, and the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.conv(x)
        return {"maps": maps, "heads": (maps.amax((2, 3)), maps.mean((2, 3)))}


def test_of_several_outputs_one_is_chosen_and_said(tmp_path: Path) -> None:
    module, batch = TwoOutputs().eval(), images(3)
    first, second = (opened(tmp_path, exported(module), output) for output in ("heads.0", "heads.1"))
    assert first.notes == ("of its outputs (maps, heads.0, heads.1) 'heads.0' is taken for the logits",)
    for read, heads in ((first, 0), (second, 1)):
        torch.testing.assert_close(Network.from_module(read.module, SIZE)(batch), module(batch)["heads"][heads])
    assert opened(tmp_path, exported(module), 2).notes == second.notes
    with pytest.raises(SeveralOutputsError, match=r"can be its logits \(heads.0, heads.1\)"):
        opened(tmp_path, exported(module))
    with pytest.raises(UnknownNameError, match="unknown output 'heads'.*known: maps, heads.0, heads.1"):
        opened(tmp_path, exported(module), "heads")


class WithoutGradients(nn.Module):
    """Parts that run without gradients, one of them within another, and one that hands a value through."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            maps = self.first(x).relu()
            with torch.enable_grad():
                maps = self.second(maps).relu()
            rows = maps.reshape(x.shape[0], -1)
        return rows + maps.mean((1, 2, 3)).unsqueeze(1)


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_parts_that_run_without_gradients_are_laid_among_the_others(tmp_path: Path, batch: int | None) -> None:
    module = WithoutGradients().eval()
    assert_same_network(module, opened(tmp_path, exported(module, batch=batch)), SIZE)


def test_dropout_that_was_left_on_is_left_out(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(), nn.Flatten(), nn.Dropout()).train()
    read = opened(tmp_path, exported(module))
    assert read.notes == ("it was exported in training; what acts there only is left out: dropout, feature_dropout",)
    assert_same_network(module.eval(), read, SIZE)


class ChannelsLast(nn.Module):
    """Takes images as other frameworks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).mean((2, 3))


@pytest.mark.parametrize("batch", [None, 2])
def test_images_with_their_channels_last(tmp_path: Path, batch: int | None) -> None:
    module = ChannelsLast().eval()
    program = export(module, (torch.zeros(2, 12, 10, 3),), dynamic_shapes=ANY if batch is None else None)
    read = opened(tmp_path, program)
    assert (read.size, read.channels) == ((12, 10), 3)
    batch_of_images = images(3, size=(12, 10))
    torch.testing.assert_close(read.module(batch_of_images)[0], module(batch_of_images.permute(0, 2, 3, 1)))


def test_grey_images(tmp_path: Path) -> None:
    read = opened(tmp_path, exported(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()).eval(), channels=1))
    assert (read.size, read.channels) == (SIZE, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_32_bit_ones(tmp_path: Path, dtype: torch.dtype) -> None:
    module = build("residual").to(dtype)
    program = export(module, (torch.zeros(2, 3, *SIZE, dtype=dtype),), dynamic_shapes=ANY)
    read = opened(tmp_path, program)
    assert read.notes == (f"weights in {str(dtype).removeprefix('torch.')} were made 32-bit floats",)
    assert_same_network(module.float(), read, SIZE)


def test_sizes_that_the_file_leaves_open(tmp_path: Path) -> None:
    module = build("residual")
    shapes = ({0: Dim("n"), 2: Dim("h", min=8, max=64), 3: Dim("w", min=8, max=64)},)
    read = opened(tmp_path, export(module, (torch.zeros(2, 3, *SIZE),), dynamic_shapes=shapes))
    assert read.size == SIZE  # those it was exported with
    assert_same_network(module, read, (16, 20))


def test_what_does_not_fit_is_said_in_one_sentence_and_nothing_is_logged(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(200, 3)).eval()
    torch.export.save(exported(module, (8, 8)), tmp_path / "m.pt2")
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    damaged = {name: re.sub(rb"\[2, ?2\]", b"[0, 0]", content) for name, content in inside.items()}
    assert damaged != inside
    (tmp_path / "m.pt2").write_bytes(zipped(damaged))
    done = subprocess.run(
        [sys.executable, "-m", "trojancam", "inspect", "m.pt2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: the program in m.pt2 cannot be run \(.*\); export the module again\n", done.stderr)


# --- other layouts ---


def in_earlier_layout(program: ExportedProgram) -> bytes:
    """As PyTorch before 2.8 wrote them."""
    from torch._export.serde.serialize import serialize

    artifact = serialize(program)
    return zipped(
        {
            "serialized_exported_program.json": artifact.exported_program,
            "serialized_state_dict.pt": artifact.state_dict,
            "serialized_constants.pt": artifact.constants,
            "serialized_example_inputs.pt": b"never looked at",
            "version": b"8.2",
        }
    )


def between_the_layouts(program: ExportedProgram) -> bytes:
    """As PyTorch 2.8 wrote them: the new archive, with state dicts in it."""
    from torch._export.serde.serialize import serialize

    artifact, buffer = serialize(program), io.BytesIO()
    torch.export.save(program, buffer)
    kept = {name: content for name, content in members(buffer.getvalue()).items() if "/data/" not in name}
    root = next(iter(kept)).partition("/")[0]
    inside = {
        f"{root}/data/weights/model.pt": artifact.state_dict,
        f"{root}/data/constants/model.pt": artifact.constants,
    }
    return zipped({**kept, **inside})  # type: ignore[dict-item]


@pytest.mark.filterwarnings("ignore:.*was assigned during export")
@pytest.mark.parametrize("make", [in_earlier_layout, between_the_layouts])
@pytest.mark.parametrize("module", [build("residual"), Tied().eval()], ids=["residual", "tied"])
def test_earlier_layouts(tmp_path: Path, make: Callable[[ExportedProgram], bytes], module: nn.Module) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(make(exported(module)))
    assert_same_network(module, read_exported_program(path), SIZE)


def without_what_came_later(program: dict[str, Any], _: dict[str, bytes], __: Path) -> None:
    """Fields of the JSON that earlier versions did not write."""
    program.pop("guards_code")
    for node in graph_of(program)["nodes"]:
        node.pop("name")
        node.pop("is_hop_single_tensor_return")
        node["metadata"].pop("nn_module_stack", None)
        for given in node["inputs"]:
            given.pop("kind")


def test_fields_that_came_later_may_be_missing(tmp_path: Path) -> None:
    path = program_changed(without_what_came_later)(tmp_path, tmp_path / "canary")
    read = read_exported_program(path)
    batch = images(3, size=(8, 8))
    assert read.module(batch)[0].equal(small()(batch))
    assert list(Network.from_module(read.module, (8, 8)).layers) == ["0"]


# --- what is left alone, and what is refused ---


def test_nothing_of_what_lies_beside_the_program_is_looked_at(tmp_path: Path) -> None:
    canary, parts = tmp_path / "canary", members(plain_program())
    sample = next(name for name in parts if "sample_inputs" in name)
    root = sample.partition("/")[0]
    hostile = {sample: torch_saved(code(canary)), f"{root}/extra/notes": b"\x80\x04\xff"}
    (tmp_path / "m.pt2").write_bytes(zipped({**parts, **hostile}))  # type: ignore[dict-item]
    read = read_exported_program(tmp_path / "m.pt2")
    assert read.module(images(2, size=(8, 8)))[0].equal(small()(images(2, size=(8, 8))))
    assert not canary.exists()


def test_pytorch_s_own_loader_runs_what_ours_refuses(tmp_path: Path) -> None:
    """That is why it is not used; should this fail one day, good."""
    canary = tmp_path / "canary"
    path = program_changed(hostile_expression)(tmp_path, canary)
    refused(path, "has code where sizes should be .*nothing of it was run")
    assert not canary.exists()
    with contextlib.suppress(AttributeError):
        torch.export.load(path)
    assert canary.exists()


class InTraining(nn.Module):
    """Counts how often it is run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.conv(x).mean((2, 3))


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()),
        InTraining(),
    ],
)
def test_networks_in_training_are_refused(tmp_path: Path, module: nn.Module) -> None:
    torch.export.save(exported(module.train()), tmp_path / "m.pt2")
    refused(tmp_path / "m.pt2", r"as (networks in training do|it runs); export the module after module.eval\(\)")


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y).mean((2, 3))


class Mixing(nn.Module):
    """Compares each image with the mean of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)).mean((2, 3)) + torch.ones(3)


class Fixed(nn.Module):
    """Adds a number for each of two images."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) + torch.tensor([[1.0], [2.0]])


class Numbers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((2, 3))


@pytest.mark.filterwarnings("ignore:.*was assigned during export")
@pytest.mark.parametrize(
    ("module", "inputs", "sentence"),
    [
        (
            Two(),
            (torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)),
            "takes 2 tensors; export a module that takes one batch",
        ),
        (Mixing(), (torch.zeros(2, 3, 8, 8),), r"mixes the images of a batch; export it with dynamic_shapes"),
        (Fixed(), (torch.zeros(2, 3, 8, 8),), r"takes batches of 2 and no others .*export it with dynamic_shapes"),
        (Numbers(), (torch.zeros(2, 3, 8, 8, dtype=torch.uint8),), "takes images that are whole numbers"),
        (nn.Linear(8, 2), (torch.zeros(2, 8),), r"takes tensors of shape \(2, 8\), not images"),
        (nn.Flatten(), (torch.zeros(2, 5, 8, 8),), r"takes images of shape \(5, 8, 8\), which have neither 1 nor 3"),
        (nn.Flatten(0), (torch.zeros(2, 3, 8, 8),), "does not give a row of logits for each image"),
    ],
)
def test_what_is_no_classifier_of_images(
    tmp_path: Path, module: nn.Module, inputs: tuple[Tensor, ...], sentence: str
) -> None:
    torch.export.save(export(module.eval(), inputs), tmp_path / "m.pt2")
    refused(tmp_path / "m.pt2", sentence)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    refused(path, "there is no model file")
    torch.save(small().state_dict(), path)
    refused(path, "holds no exported programs, not one; name a file that torch.export.save wrote")
    path.write_bytes(b"hello")
    refused(path, "is not a whole zip archive")


def test_two_programs_in_one_file(tmp_path: Path) -> None:
    from torch.export.pt2_archive._package import package_pt2

    program = exported(small(), (8, 8))
    package_pt2(str(tmp_path / "m.pt2"), exported_programs={"a": program, "b": program})
    refused(tmp_path / "m.pt2", "holds 2 exported programs, not one")
    package_pt2(str(tmp_path / "m.pt2"), exported_programs={"a": program})
    assert read_exported_program(tmp_path / "m.pt2").size == (8, 8)


@pytest.mark.parametrize(
    "text",
    ["Symbol('s31', positive=True, integer=True)", "s0*s1 + 2", "Max(1, s77 - 3)", "((s0 - 1)//2) + 1", "Mod(s0, 2)", "u0",
     "FloorDiv(Symbol('s1'), Integer(2))", "2*s0**2", "Eq(s0, 4)", "L['x'].size()[0] >= 2", "-1", "oo", "int_oo"],
)  # fmt: skip
def test_arithmetic_on_sizes(text: str) -> None:
    assert is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "open('x')", "eval('1')", "s0.__class__", "().__class__.__bases__", "getattr(s0, 'x')", "lambda: 1",
     "exec", "print(1)", "s0; import os", "{1: 2}", "f'{s0}'", "`ls`", "s0 if s1 else os", "x", "sympify('1')", "Lambda(s0, 1)"],
)  # fmt: skip
def test_what_is_more_than_arithmetic(text: str) -> None:
    assert not is_arithmetic(text)


def test_expressions_of_a_program_with_many_sizes_are_arithmetic(tmp_path: Path) -> None:
    shapes = ({0: Dim("n"), 2: Dim("h", min=8, max=64), 3: Dim("w", min=8, max=64)},)
    buffer = io.BytesIO()
    torch.export.save(export(build("residual"), (torch.zeros(2, 3, *SIZE),), dynamic_shapes=shapes), buffer)
    program = next(
        content for name, content in members(buffer.getvalue()).items() if name.endswith("models/model.json")
    )
    found = [json.loads(f'[{part.split(chr(34) + ",")[0]}"]')[0] for part in program.decode().split('"expr_str": ')[1:]]
    assert len(set(found)) > 5
    assert all(is_arithmetic(text) for text in found)
