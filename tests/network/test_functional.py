"""The short way to a functional graph gives what PyTorch's own, longer way gives."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tests.network.graphs import described
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.network.functional import functional

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, of what it is made of


class Steps(nn.Module):
    """Convolution, batch normalisation, and whatever a test wants of their result."""

    def __init__(self, steps: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution, self.normalisation, self.steps = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), steps
        with torch.no_grad():
            nn.init.normal_(self.normalisation.running_mean)
            nn.init.normal_(self.normalisation.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.steps(self.normalisation(self.convolution(images)))


def _skipping(maps: Tensor) -> Tensor:
    other = F.hardswish(maps)
    maps = F.silu(maps) * 2.0
    other += maps
    return F.relu_(other)


def _changing_what_another_sees(maps: Tensor) -> Tensor:
    before = maps * 3.0
    halves = before[:, :2]
    before.relu_()
    return torch.cat([halves, before], 1)


def _changing_what_comes_again(maps: Tensor) -> Tensor:
    other = F.avg_pool2d(maps, 1)
    changed = F.relu_(other)
    return changed + other


def _dropped(maps: Tensor) -> Tensor:
    return F.dropout(torch.flatten(F.leaky_relu(F.avg_pool2d(maps, 2), inplace=True), 1), 0.5, training=False)


def _flattened_later(maps: Tensor) -> Tensor:
    return torch.flatten(maps.transpose(1, 2), 1)


def _half_flattened(maps: Tensor) -> Tensor:
    return torch.flatten(maps, 2).mean(-1)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2).transpose(2, 3) * 2.0


def _reshaped(maps: Tensor) -> Tensor:
    return maps.reshape(maps.shape[0], 2, 2, 10, 10).mean((1,)).reshape(-1, 200)


def _enlarged(maps: Tensor) -> Tensor:
    enlarged = F.interpolate(F.interpolate(maps, scale_factor=2, mode="nearest"), size=(7, 9), mode="nearest")
    padded = F.pad(F.pad(enlarged, (1, 0, 2, 1), value=2.0), (1, 1, 1, 1), mode="reflect")
    return padded.to(torch.float32) * 2.0


def _changing_what_is_seen_in_another_order(maps: Tensor) -> Tensor:
    other = F.avg_pool2d(maps, 1)
    turned = other.permute(0, 2, 3, 1)
    other.relu_()
    return turned * 2.0


def _reshaped_out_of_order(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1)


SHORT = {
    "skipping": _skipping,
    "dropped": _dropped,
    "changing what comes again": _changing_what_comes_again,
    "channels last": _channels_last,
    "reshaped": _reshaped,
    "enlarged": _enlarged,
}
LONG = {
    "changing what another sees": _changing_what_another_sees,
    "flattened later": _flattened_later,
    "half flattened": _half_flattened,
    "changing what is seen in another order": _changing_what_is_seen_in_another_order,
    "reshaped out of order": _reshaped_out_of_order,
    "of another type": lambda maps: maps.to(torch.float64).relu().to(torch.float32),
    "chunks": lambda maps: torch.cat(maps.chunk(2, 1)[::-1], 1),
}


def exported(module: nn.Module, size: int = 12) -> ExportedProgram:
    return export(module.eval(), (torch.zeros(2, 3, size, size),), dynamic_shapes=({0: Dim("n")},), strict=False)


def by_torch(program: ExportedProgram) -> fx.GraphModule:
    whole: fx.GraphModule = copy.deepcopy(program.run_decompositions({}).module(check_guards=False))
    return whole


def stack(node: fx.Node) -> str:
    """The modules that a node came from; the exporter's two ways count images in different ones."""
    return str(node.meta.get("nn_module_stack")) if node.target is not torch.ops.aten.sym_size.int else ""


def check_same(program: ExportedProgram, size: int) -> None:
    ours, theirs = functional(program), by_torch(program)
    assert described(ours, stack) == described(theirs, stack)
    images = torch.rand(3, 3, size, size)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


@pytest.fixture
def no_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: ExportedProgram, *_: object) -> None:
        raise AssertionError("this graph went the long way")

    monkeypatch.setattr(ExportedProgram, "run_decompositions", refused)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_our_architectures(name: str) -> None:
    check_same(exported(architecture(name).build(5), 32), 32)


@pytest.mark.parametrize("name", [*SHORT, *LONG])
def test_modules_of_every_habit(name: str) -> None:
    check_same(exported(Steps((SHORT | LONG)[name])), 12)


@pytest.mark.usefixtures("no_long_way")
@pytest.mark.parametrize("name", ["resnet", *SHORT])
def test_the_short_way_is_taken(name: str) -> None:
    program = exported(Steps(SHORT[name])) if name in SHORT else exported(architecture(name).build(5), 32)
    called = [str(node.target) for node in functional(program).graph.nodes if node.op == "call_function"]
    assert not [target for target in called if target.rpartition(".")[0].endswith("_")]


@pytest.mark.usefixtures("no_long_way")
@pytest.mark.parametrize("name", LONG)
def test_what_is_not_known_goes_the_long_way(name: str) -> None:
    with pytest.raises(AssertionError, match="long way"):
        functional(exported(Steps(LONG[name])))


def test_the_weights_are_a_copy() -> None:
    module = Steps(_skipping)
    whole = functional(exported(module))
    before = whole(torch.ones(1, 3, 12, 12)).clone()
    with torch.no_grad():
        module.convolution.weight.zero_()
    torch.testing.assert_close(whole(torch.ones(1, 3, 12, 12)), before, rtol=0, atol=0)
