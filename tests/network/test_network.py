"""Network: it computes what the module computes, leaves the module as it was, and says what is wrong with an input."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.nets import (
    NETS,
    SIZE,
    Head,
    assert_same_state,
    build,
    images,
    images_for,
    network,
    randomised,
    state_of,
    unchecked,
)
from torch import nn

from trojancam.architectures import ARCHITECTURES
from trojancam.errors import DataError, ModelError, TrojanCamError, UnknownNameError
from trojancam.network.graph import logits_node, returning
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate

EVERY = [*NETS, *ARCHITECTURES]


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("name", EVERY)
def test_outputs_equal_the_module(name: str, count: int) -> None:
    module, net = network(name)
    inputs = images_for(net, count)
    normalised = net.input.normalise(inputs)
    takes_channels_last = name != "plain"  # its view() does not; the network's does
    with torch.no_grad():
        expected = module(normalised if takes_channels_last else normalised.contiguous())
    torch.testing.assert_close(net(inputs), expected, rtol=0, atol=0 if takes_channels_last else 1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_memory_format_of_the_images_changes_nothing_but_rounding(name: str) -> None:
    module, net = network(name)
    inputs = images_for(net, 3)
    with torch.no_grad():
        contiguous = module(net.input.normalise(inputs).contiguous())
    torch.testing.assert_close(net(inputs), contiguous, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(net(inputs.contiguous(memory_format=torch.channels_last)), net(inputs), rtol=0, atol=0)


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="there are no images in a shape of .0, 3, 12, 12.; give at least one"):
        network("normed")[1](images(0))


def test_images_are_taken_in_other_forms() -> None:
    _, net = network("normed")
    as_bytes = (images(2) * 255).to(torch.uint8)
    expected = net(as_bytes / 255)
    assert torch.equal(net(as_bytes.permute(0, 2, 3, 1).numpy()), expected)
    assert torch.equal(net(as_bytes[1]), net(as_bytes[1:] / 255))


def test_double_precision_images_are_taken() -> None:
    _, net = network("plain")
    torch.testing.assert_close(net(images(2).double()), net(images(2)), rtol=0, atol=0)


def test_logits_carry_no_gradient() -> None:
    assert not network("plain")[1](images(2).requires_grad_()).requires_grad


def test_images_are_normalised_by_the_specification() -> None:
    module = build("normed").eval()
    specification = InputSpecification(size=SIZE, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    net = Network.from_module(module, specification=specification)
    inputs = images(3)
    expected = torch.stack([(inputs[:, 0] - 0.1) / 0.5, (inputs[:, 1] - 0.2) / 0.25, (inputs[:, 2] - 0.3) / 2], 1)
    with torch.no_grad():
        torch.testing.assert_close(net(inputs), module(expected), rtol=1e-5, atol=1e-6)


# --- the module is left as it was ---


def prepared(module: nn.Module) -> nn.Module:
    """A module in an uneven state: one part evaluating, one weight frozen, another with a gradient."""
    module.train()
    next(part for part in module.modules() if isinstance(part, nn.Conv2d)).eval()
    first, *_, last = module.parameters()
    first.requires_grad_(False)
    last.grad = torch.ones_like(last)
    return module


@pytest.mark.parametrize("name", NETS)
def test_the_module_is_left_as_it_was(name: str) -> None:
    module = prepared(build(name))
    before = state_of(module)
    net = Network.from_module(module, SIZE)
    net(images(2))
    assert_same_state(before, state_of(module))


class Broken(nn.Module):
    """It has all that a network needs, and fails at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Head(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.norm(self.conv(x)).relu())
        raise ValueError("no such head")


def test_the_module_is_left_as_it_was_when_it_cannot_be_exported() -> None:
    module = prepared(Broken())
    before = state_of(module)
    with pytest.raises(ModelError, match=r"no such head \(test_network.py, line \d+: raise ValueError"):
        Network.from_module(module, SIZE)
    assert_same_state(before, state_of(module))


def test_training_the_module_afterwards_does_not_change_the_network() -> None:
    module = build("normed")
    net = Network.from_module(module, SIZE)
    before = net(images(3))
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module.train()(images(3)).sum().backward()
    optimizer.step()
    assert net(images(3)).equal(before)
    assert not Network.from_module(module, SIZE)(images(3)).equal(before)


@pytest.mark.parametrize("name", NETS)
def test_a_network_needs_no_gradient_of_any_weight(name: str) -> None:
    _, net = network(name)
    net.forward_with(images(2).requires_grad_(), net.layers)
    parameters = [*net._whole.parameters(), *(p for graph in net._returning.values() for p in graph.parameters())]
    assert parameters
    assert not any(p.requires_grad or p.grad is not None for p in parameters)


def test_more_outputs_share_the_weights() -> None:
    _, net = network("plain")
    net.forward_with(images(2), net.layers)
    whole = {name: p.data_ptr() for name, p in net._whole.named_parameters()}
    for graph in net._returning.values():
        assert {name: p.data_ptr() for name, p in graph.named_parameters()} == whole


def test_modules_of_weights_in_any_memory_format_give_the_same_network() -> None:
    module = build("residual").eval()
    channels_last = copy.deepcopy(module).to(memory_format=torch.channels_last)
    one, other = (Network.from_module(each, SIZE)(images(3)) for each in (module, channels_last))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_networks_can_be_made_in_many_threads_at_once() -> None:
    inputs, untouched = images(2), (nn.Module.__call__, nn.Module.__getattr__)
    modules = [build("residual", seed).eval() for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        logits = list(pool.map(lambda module: Network.from_module(module, SIZE)(inputs), modules))
    for module, found in zip(modules, logits, strict=True):
        torch.testing.assert_close(found, Network.from_module(module, SIZE)(inputs))
    assert (nn.Module.__call__, nn.Module.__getattr__) == untouched, "PyTorch is left patched by its exporter"


class Reserved(nn.Module):
    """Its parts, and weights of its own, are called what graphs keep for themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.graph, self.meta = nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 5, 3))
        self.register_buffer("code", torch.full((5, 1, 1), 0.5))
        self.inside = Head(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # of such nothing is known but the weight
            start = self.graph(x)
        logits: torch.Tensor = self.inside(self.meta(start) + self.code)
        return logits


def test_parts_may_have_names_that_graphs_keep_for_themselves() -> None:
    module = randomised(Reserved()).eval()
    net = Network.from_module(module, SIZE)
    assert list(net.layers) == ["graph", "meta.1"]
    with torch.no_grad():
        torch.testing.assert_close(net(images(3)), module(net.input.normalise(images(3))))


# --- what is asked for by name ---


def test_class_names_are_kept_or_made() -> None:
    names = ["stop", "yield", "give way", "no entry"]
    assert Network.from_module(build("plain"), SIZE, class_names=names).class_names == tuple(names)
    assert network("plain")[1].class_names == ("class 0", "class 1", "class 2", "class 3")


def test_a_wrong_number_of_class_names_shows_both_numbers() -> None:
    with pytest.raises(ModelError, match="the network has 4 classes, but 2 class names were given"):
        Network.from_module(build("plain"), SIZE, class_names=["stop", "yield"])


def test_an_unknown_layer_lists_those_there_are() -> None:
    _, net = network("twice")
    assert net.layer("shared#2").name == "shared#2"
    with pytest.raises(UnknownNameError, match="unknown layer 'share'.*'shared'.*known: stem, shared, shared#2"):
        net.layer("share")
    with pytest.raises(UnknownNameError, match="unknown layer"):
        net.forward_with(images(1), ["stem", "conv"])


def test_a_feature_map_is_checked() -> None:
    _, net = network("plain")
    assert net.feature_map("first", 3) == 3
    for index in (4, -1):
        with pytest.raises(UnknownNameError, match=f"layer 'first' has no feature map {index}; known: 0 to 3"):
            net.feature_map("first", index)


def test_it_says_what_it_is() -> None:
    assert repr(network("plain")[1]) == "Network(Plain, 4 classes, layers: first, second)"


def test_layers_come_in_the_order_asked_for() -> None:
    _, net = network("plain")
    _, (second, first) = net.forward_with(images(2), ["second", "first"])
    assert (second.shape[1], first.shape[1]) == (5, 4)
    logits, none = net.forward_with(images(2), [])
    assert none == ()
    assert logits.equal(net(images(2)))


class Counting(nn.Module):
    """Asks for the number of images in ways that give a plain number while it runs."""

    def __init__(self, count: Callable[[torch.Tensor], int]) -> None:
        super().__init__()
        self.conv, self.token, self.head = nn.Conv2d(3, 4, 3), nn.Parameter(torch.randn(1, 400)), nn.Linear(400, 4)
        self.count = count

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        n = self.count(x)
        maps = F.dropout(self.conv(x).relu(), 0.5, training=True)
        return {"loss": x.sum(), "logits": self.head(maps.reshape(n, -1) + self.token.expand(n, -1))}


@pytest.mark.parametrize("count", [len, lambda x: int(x.shape[0]), lambda x: int(x.size(0)), lambda x: x.shape[0]])
def test_a_module_may_ask_how_many_images_there_are(count: Callable[[torch.Tensor], int]) -> None:
    module = Counting(count)
    net = Network.from_module(module, SIZE, output="logits")
    assert list(net.layers) == ["conv"]
    with torch.no_grad():
        expected = module.head(module.conv(images(5)).relu().reshape(5, -1) + module.token)
    torch.testing.assert_close(net(images(5)), expected, rtol=1e-5, atol=1e-6)
    assert net.notes[0] == "dropout that acts outside of training was left out"
    assert list(net.parameter_groups) == ["conv", "token", "head"]
    assert not hasattr(vars(module), "forward")


# --- what cannot be used ---


class Conditional(Broken):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.mean() > 0.5:
            x = 1 - x
        return self.head(self.conv(x))


class FixedBatch(Broken):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).reshape(2, 4, 10, 10))


class ThroughNumpy(Broken):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.from_numpy(self.conv(x).detach().numpy()))


class Text(Broken):
    def forward(self, x: torch.Tensor) -> str:
        return "a stop sign"


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Conditional(), r"depends on the values of the images.*\(test_network.py, line \d+: if x.mean\(\) > 0.5:\)"),
        (FixedBatch(), "one number of images only"),
        (ThroughNumpy(), r"numpy\(\) is not supported.*\(test_network.py, line \d+: return self.head"),
        (Text(), r"logits of shape \(n, classes\), but this module gives no tensor"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), r"logits of shape \(n, classes\), .* of shape \(n, 4, 10, 10\)"),
        (nn.Sequential(nn.Conv2d(3, 1, 12), nn.Flatten(0)), r"of shape \(n\)"),
        (
            nn.Sequential(nn.Conv2d(2, 4, 3), Head(4)),
            "the first convolution of this module takes 2 channels, but images have 3",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 4)), "images of 12x12 pixels"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), Head(4)).double(), r"weights 0.weight are torch.float64.*module.float\(\)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_module_that_is_no_network_is_refused_in_one_sentence(
    module: nn.Module, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        Network.from_module(module, SIZE)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", ""), "the error is all that is said"


def test_loading_what_is_not_there_is_a_model_error(tmp_path) -> None:
    with pytest.raises(TrojanCamError, match="there is no model file"):
        load(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (nn.Conv2d(3, 4, 3).state_dict(), "a state dict; load it into its module first"),
        (nn.Conv2d, r"this is the class Conv2d; make one of it: Conv2d\(\)"),
        (network("plain")[1], "a Network already; use it as it is"),
        ("net.pth", r"a path; open the file with trojancam.load\(path\)"),
        (torch.relu, "give an nn.Module that maps images to logits"),
    ],
)
def test_what_is_no_module_is_refused(given, sentence) -> None:
    with pytest.raises(ModelError, match=sentence), unchecked():
        Network.from_module(given)


def test_the_side_of_a_square_is_a_size() -> None:
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    assert Network.from_module(small, 8).input.size == (8, 8)
    assert InputSpecification(size=8) == InputSpecification(size=(8, 8))
    with pytest.raises(ModelError, match=r"images of 16x16 pixels: .*; say it with input_size=\(height, width\)$"):
        Network.from_module(small, 16)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"size": (3, 32, 32)}, r"size is \(height, width\) in pixels, .*, not \(3, 32, 32\)$"),
        ({"size": 0}, "each from 1 to 8192.*not 0$"),
        (
            {"std": (0.0, 1.0, 1.0)},
            "std of an input specification is three numbers above 0, one for each channel, not .*; correct it",
        ),
        ({"deviation": 1}, "an input specification has no field 'deviation'; known: size, mean, std"),
    ],
)
def test_what_no_network_is_fed_is_refused_in_one_sentence(fields, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as told:
        InputSpecification(**fields)
    assert "pydantic" not in str(told.value)
    assert isinstance(told.value, ValueError)


def test_a_part_without_feature_maps_is_no_layer() -> None:
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    net = Network.from_module(small, 8)
    for ask in (net.layer, lambda name: record(net, torch.rand(1, 3, 8, 8), layers=name)):
        with pytest.raises(
            UnknownNameError, match="'3' has no feature maps of its own, so it is no layer here; known: 0$"
        ):
            ask("3")


def test_without_convolutions_and_tokens_the_channels_of_the_image_are_a_layer() -> None:
    """What they contribute is the gradient times the input, as autograd gives it for the module itself."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    network = Network.from_module(module, SIZE)
    assert list(network.layers) == ["pixels"]
    assert network.notes[-1].endswith("stand in for feature maps, as the layer “pixels”.")
    assert (network.layer("pixels").feature_maps, network.layer("pixels").size) == (3, SIZE)
    batch = images(5)
    recording = record(network, batch, logit(2))
    inputs = network.inputs(batch).requires_grad_()
    (gradient,) = torch.autograd.grad(module(inputs)[:, 2].sum(), inputs)
    torch.testing.assert_close(recording.layers["pixels"].activations, inputs.detach())
    torch.testing.assert_close(recording.layers["pixels"].gradients, gradient)


def test_a_stimulated_channel_is_the_image_changed_there() -> None:
    torch.manual_seed(0)
    network = Network.from_module(nn.Sequential(nn.Flatten(), nn.Linear(432, 4)), SIZE)
    batch = images(2)
    changed = batch.clone()
    changed[:, 1, 2:5, 3:7] = 1.0
    found = stimulate(network, batch, Stimulation("pixels", 1, value=1.0, window=(2, 3, 3, 4)))
    torch.testing.assert_close(found.after.logits, network(changed))


@pytest.mark.parametrize("name", ["plain", "normed", "residual", "depthwise"])
def test_bounded_layers_are_the_module_with_its_activations_cut(name: str) -> None:
    """One layer after the other, against the replay of edited activations; what lies before it is as it was."""
    _, net = network(name)
    batch = images_for(net, 3)
    for layer in net.boundable:
        cut = net.cut(layer)
        values, *crossing = cut.before(batch)
        bound = values.amax((0, 2, 3)) / 2
        expected, _ = cut.after(torch.minimum(values, bound[:, None, None]), crossing)
        found = net.bounded({layer: bound})
        torch.testing.assert_close(found(batch), expected.detach(), rtol=1e-5, atol=1e-5)
        ending = net.layer(layer).activation  # of two layers, where both end in one sum
        same = [name for name, other in net.layers.items() if other.activation == ending]
        torch.testing.assert_close(found.bounds, dict.fromkeys(same, bound))
        assert list(found.layers) == list(net.layers)
        assert layer not in found.boundable
        recorded = record(found, batch, layers=[layer]).layers[layer]
        torch.testing.assert_close(recorded.activations, values, rtol=1e-5, atol=1e-5)


def test_bounds_are_added_to_those_there_are_and_survive_saving(tmp_path: Path) -> None:
    _, net = network("plain")
    one, other = list(net.boundable)[:2]
    bounds = {layer: torch.full((net.layer(layer).feature_maps,), 0.05) for layer in (one, other)}
    both, after = net.bounded(bounds), net.bounded({one: bounds[one]}).bounded({other: bounds[other]})
    batch = images_for(net, 3)
    torch.testing.assert_close(after(batch), both(batch))
    assert not torch.equal(both(batch), net(batch))
    again = load(both.save(tmp_path / "bounded.pt2"))
    torch.testing.assert_close(again(batch), both(batch))
    torch.testing.assert_close(again.bounds, bounds)


@pytest.mark.parametrize(
    ("layer", "count", "sentence"),
    [(0, 1, "feature maps; give one bound for each"), (None, 3, "the layer pixels cannot be bounded")],
)
def test_bounds_that_do_not_fit_are_refused(layer: int | None, count: int, sentence: str) -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(432, 4))
    net = Network.from_module(dense, SIZE) if layer is None else network("plain")[1]
    name = "pixels" if layer is None else list(net.layers)[layer]
    with pytest.raises(ModelError, match=sentence):
        net.bounded({name: torch.ones(count)})


class Twins(nn.Module):
    """Layers whose names differ in a dot and an underscore, in a module that is called as bounds might be; one runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = nn.ModuleDict({"a_b": nn.Conv2d(3, 4, 3, padding=1)})
        self.bounds_a = nn.ModuleDict({"b": nn.Conv2d(4, 4, 3, padding=1)})
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bounds["a_b"](images))
        x = F.relu(self.bounds_a["b"](x))
        return self.head(F.relu(self.bounds_a["b"](x)).mean((2, 3)))


def test_bounds_of_layers_with_like_names_and_of_one_that_runs_twice_are_apart() -> None:
    torch.manual_seed(0)
    module = Twins().eval()
    net = Network.from_module(module, SIZE)
    first, second, again = net.layers
    assert again == f"{second}#2"
    values = {layer: torch.full((4,), bound) for layer, bound in ((first, 0.3), (second, 0.2), (again, 0.1))}
    batch = images(3)
    x = F.relu(module.bounds["a_b"](batch)).clamp(max=0.3)
    x = F.relu(module.bounds_a["b"](x)).clamp(max=0.2)
    expected = module.head(F.relu(module.bounds_a["b"](x)).clamp(max=0.1).mean((2, 3)))
    found = net.bounded(values)
    torch.testing.assert_close(found(batch), expected.detach())
    torch.testing.assert_close(found.bounds, values)
    assert found.boundable == ()


def test_layers_of_tokens_are_not_bounded() -> None:
    _, net = network("transformer")
    tokens = next(layer for layer in net.layers if layer not in net.boundable)
    with pytest.raises(ModelError, match="cannot be bounded; bound layers of convolutions, each once"):
        net.bounded({tokens: [1.0] * net.layer(tokens).feature_maps})


def test_of_two_bounds_where_layers_meet_in_one_sum_the_smaller_holds() -> None:
    _, net = network("residual")
    one, other = "3.downsample.0", "3.conv2"
    count = net.layer(one).feature_maps
    found = net.bounded({one: torch.full((count,), 0.2), other: torch.full((count,), 0.1)})
    torch.testing.assert_close(found.bounds, dict.fromkeys((one, other), torch.full((count,), 0.1)))


@pytest.mark.parametrize("of", ["network", "moved", "recorded"])
def test_an_error_inside_a_network_prints_nothing(of: str, capfd: pytest.CaptureFixture[str]) -> None:
    class Short(nn.Module):
        """A layer for whose weights there is no memory."""

        @property
        def weight(self) -> torch.Tensor:
            raise MemoryError

    given = Network.from_module(build("plain"), SIZE)
    given = given.to("cpu") if of == "moved" else given
    whole = given._whole if of != "recorded" else returning(given._whole, [logits_node(given._whole).name])
    whole._modules[next(iter(whole._modules))] = Short()
    with pytest.raises(MemoryError):
        whole(images(1))
    assert capfd.readouterr() == ("", "")
