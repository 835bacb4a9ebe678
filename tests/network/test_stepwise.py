"""A graph that is written down from a list of operations is the one that the exporter gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.nets import NETS, SIZE, build, randomised
from tests.network.graphs import described
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.formats.exported_program.reader import read_exported_program
from trojancam.network import exporting
from trojancam.network.functional import functional, without_changes_in_place
from trojancam.network.input import InputSpecification
from trojancam.network.layers import module_name
from trojancam.network.network import Network
from trojancam.network.stepwise import Stepwise, written_down
from trojancam.opening.open import load

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:TF32:UserWarning")
SHORT = {"plain", "residual", "twice", "concatenating", "depthwise"}


def exported(module: nn.Module, size: tuple[int, int]) -> ExportedProgram:
    return export(module, (torch.zeros(2, 3, *size),), dynamic_shapes=({0: Dim("n")},), strict=False)


def listed(folder: Path, module: nn.Module, size: tuple[int, int] = SIZE) -> Stepwise:
    torch.export.save(exported(module.eval(), size), folder / "m.pt2")
    found = read_exported_program(folder / "m.pt2").module
    assert isinstance(found, Stepwise)
    return found


def module(node: fx.Node) -> str:
    """The module that an operation came from, where it gives a tensor."""
    return module_name(node) if node.op == "call_function" and isinstance(node.meta["val"], Tensor) else ""


def check_same(given: Stepwise, size: tuple[int, int]) -> None:
    whole = written_down(given, torch.zeros(2, 3, *size))
    assert whole is not None
    ours, theirs = without_changes_in_place(whole), functional(exported(given, size))
    symbols = [next(iter(graph.graph.find_nodes(op="placeholder"))).meta["val"].shape[0] for graph in (ours, theirs)]
    as_ours = str(described(theirs, module)).replace(str(symbols[1]), str(symbols[0]))
    assert str(described(ours, module)) == as_ours
    images = torch.rand(3, 3, *size)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))


@pytest.mark.parametrize("name", sorted(SHORT))
def test_small_networks(tmp_path: Path, name: str) -> None:
    check_same(listed(tmp_path, randomised(build(name))), SIZE)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_our_architectures(tmp_path: Path, name: str) -> None:
    check_same(listed(tmp_path, randomised(architecture(name).build(5)), (32, 32)), (32, 32))


@pytest.mark.parametrize("name", sorted(NETS))
def test_networks_are_the_same_both_ways(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, specification = listed(tmp_path, randomised(build(name))), InputSpecification(size=SIZE)
    short = Network.from_module(module, specification=specification)
    monkeypatch.setattr(exporting, "written_down", lambda *_: None)
    long = Network.from_module(module, specification=specification)
    images = torch.rand(3, 3, *SIZE)
    torch.testing.assert_close(short(images), long(images), rtol=0, atol=0)
    assert short.layers == long.layers
    assert short.parameter_groups == long.parameter_groups
    assert short.notes == long.notes
    short.save(tmp_path / "again.pt2")
    again = load(tmp_path / "again.pt2")
    torch.testing.assert_close(again(images), long(images), rtol=1e-6, atol=1e-6)
    assert again.layers.keys() == long.layers.keys()


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(F.relu(self.first(images))).mean((2, 3)))


def test_weights_that_are_one_stay_one_and_are_copies(tmp_path: Path) -> None:
    module = listed(tmp_path, Tied())
    whole = written_down(module, torch.zeros(2, 3, *SIZE))
    assert whole is not None
    first, second = (whole.get_parameter(f"{name}.weight") for name in ("first", "second"))
    assert first is second
    assert first.data_ptr() not in {weight.data_ptr() for weight in module.parameters()}
    assert not any(weight.requires_grad for weight in whole.parameters())
    assert all(weight.requires_grad for weight in module.parameters())


class Counting(Stepwise):
    """A module that is another one for more images."""

    def _by_steps(self, images: Any, weight: Any, run: Any) -> tuple[Any, ...]:
        count = run(torch.ops.aten.sym_size.int, (images, 0), {}, "")
        value = count.meta["val"] if isinstance(count, fx.Node) else count
        return (run(torch.ops.aten.mul.Tensor, (images, 2.0 if value > 7 else 3.0), {}, ""),)


def test_what_depends_on_the_number_of_images_is_not_written_down() -> None:
    assert written_down(Counting(), torch.zeros(2, 3, *SIZE)) is None


def test_no_library_of_convolutions_stays_off() -> None:
    before = torch._C._get_mkldnn_enabled(), torch._C._get_nnpack_enabled()
    assert any(before)
    with pytest.raises(ZeroDivisionError):
        written_down(_Failing(), torch.zeros(2, 3, *SIZE))
    assert (torch._C._get_mkldnn_enabled(), torch._C._get_nnpack_enabled()) == before


class _Failing(Stepwise):
    def _by_steps(self, images: Any, weight: Any, run: Any) -> tuple[Any, ...]:
        raise ZeroDivisionError
