"""Randomisation: the network given stays as it was, modules fall last to first, and maps that ignore weights are found out."""

import re
from collections.abc import Callable

import pytest
import torch
from tests.nets import NETS, SIZE, Head, images_for, network, unchecked
from torch import Tensor, nn

from trojancam.errors import DataError, UnknownNameError
from trojancam.evaluation.randomisation import cascading_randomisation
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit

ORDER = {
    "plain": ["first", "second", "linear"],
    "normed": ["0", "1", "4", "5", "7.linear"],
    "twice": ["stem", "shared", "head.linear"],
    "pre-activation": ["stem", "norm1", "conv1", "norm2", "conv2", "head.linear"],
    "residual": [
        "0", "2.conv1", "2.bn1", "2.conv2", "2.bn2",
        "3.downsample.0", "3.downsample.1", "3.conv1", "3.bn1", "3.conv2", "3.bn2", "4.linear",
    ],
    "trojan1": [*(f"conv2d_{i}" for i in range(1, 6)), "dense_1"],
    "trojan2": [*(f"conv2d_{i}" for i in range(5, 10)), "dense_1", "dense_2", "dense_3"],
}  # fmt: skip


def weights(net: Network) -> dict[str, Tensor]:
    return dict(net._whole.state_dict())


def saliency(images: Tensor, classes: Tensor) -> Callable[[Network], Tensor]:
    """The plain gradient of the logits of fixed classes, summed over the colours."""

    def explain(net: Network) -> Tensor:
        inputs = images.clone().requires_grad_()
        logits, _ = net.forward_with(net.input.normalise(inputs), [])
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), inputs)
        return gradient.sum(1)

    return explain


def first_layer_cam(images: Tensor, classes: Tensor) -> Callable[[Network], Tensor]:
    """Gradient times activation of the first layer, summed over its maps (HiResCAM before its ReLU)."""

    def explain(net: Network) -> Tensor:
        name = next(iter(net.layers))
        layer = record(net, images, logit(classes), [name]).layers[name]
        return (layer.gradients * layer.activations).sum(1)

    return explain


@pytest.mark.parametrize("name", ORDER)
def test_parameters_are_grouped_by_module_in_the_order_in_which_they_run(name: str) -> None:
    module, net = network(name)
    assert list(net.parameter_groups) == ORDER[name]
    named = {parameter for group in net.parameter_groups.values() for parameter in group}
    assert named == {parameter for parameter, _ in module.named_parameters()}
    for group, names in net.parameter_groups.items():
        assert all(re.fullmatch(re.escape(group) + r"\.(weight|bias)", parameter) for parameter in names)


@pytest.mark.parametrize("name", [*NETS, "basic", "trojan1", "trojan2"])
def test_a_random_layer_makes_a_new_network_and_leaves_the_old_one_as_it_was(name: str) -> None:
    _, net = network(name)
    images = images_for(net, 3)
    before, logits = {key: value.clone() for key, value in weights(net).items()}, net(images)
    chosen = list(net.parameter_groups)[-2:]
    changed = net.with_random_layers(chosen, seed=1)
    changed(images)
    torch.testing.assert_close(weights(net), before, rtol=0, atol=0)
    assert torch.equal(net(images), logits)
    assert not torch.equal(changed(images), logits)
    shuffled = {parameter for module in chosen for parameter in net.parameter_groups[module]}
    for key, value in weights(net).items():
        other = weights(changed)[key]
        assert torch.equal(value.flatten().sort().values, other.flatten().sort().values)
        if key in shuffled:
            assert other.data_ptr() != value.data_ptr()
            assert not (value == other).any() or value.unique().numel() < value.numel()
            assert not other.requires_grad
        else:
            assert other.data_ptr() == value.data_ptr()  # shared, not copied
    assert list(changed.layers) == list(net.layers)
    assert changed.layers == net.layers
    assert (changed.class_names, changed.input) == (net.class_names, net.input)


def test_a_random_network_can_do_all_that_a_network_can() -> None:
    _, net = network("residual")
    images = images_for(net, 2)
    changed = net.with_random_layers(["0"]).with_random_layers(["3.bn2"])
    assert torch.equal(changed(images), net.with_random_layers(["3.bn2", "0"])(images))
    cut = changed.cut("2.conv1")
    activations, *crossing = cut.before(images)
    torch.testing.assert_close(cut.after(activations, crossing)[0], changed(images), rtol=0, atol=1e-6)
    assert record(changed, images).layers["3.conv2"].on_path


def test_the_seed_and_the_name_decide_how_a_module_is_shuffled() -> None:
    _, net = network("plain")
    alone, together = net.with_random_layers(["linear"]), net.with_random_layers(["first", "linear"])
    assert torch.equal(weights(alone)["linear.weight"], weights(together)["linear.weight"])
    other = net.with_random_layers(["linear"], seed=1)
    assert not torch.equal(weights(alone)["linear.weight"], weights(other)["linear.weight"])
    assert net.with_random_layers([])(images_for(net, 2)).equal(net(images_for(net, 2)))


def test_a_module_without_parameters_or_unknown_is_refused() -> None:
    _, net = network("plain")
    with pytest.raises(UnknownNameError, match="unknown module with parameters 'secnd' .did you mean 'second'"):
        net.with_random_layers(["secnd"])
    with pytest.raises(UnknownNameError, match="unknown module with parameters 'conv9'"):
        cascading_randomisation(net, lambda _: torch.ones(1, 2, 2), ["conv9"])


def test_parameters_outside_any_module_are_a_group_of_their_own() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), Head(4)
            self.scale = nn.Parameter(torch.arange(4.0).view(4, 1, 1))
            self.unused = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).relu() * self.scale)

    net = Network.from_module(Scaled(), SIZE)
    assert list(net.parameter_groups) == ["conv", "scale", "head.linear"]
    shuffled = weights(net.with_random_layers(["scale"]))["scale"]
    assert shuffled.flatten().sort().values.tolist() == [0, 1, 2, 3]


def test_tied_weights_are_shuffled_wherever_they_are_used() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.two, self.head = (
                nn.Conv2d(3, 4, 3),
                nn.Conv2d(4, 4, 1),
                nn.Conv2d(4, 4, 1),
                Head(4),
            )
            self.two.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.two(self.one(self.stem(x)).relu()))

    net = Network.from_module(Tied(), SIZE)
    changed = net.with_random_layers(net.parameter_groups)
    used = [node.target for node in changed._whole.graph.nodes if node.op == "get_attr"]
    assert set(used) == {name for names in net.parameter_groups.values() for name in names}
    for name in used:
        assert not torch.equal(weights(changed)[name], weights(net)[name])


@pytest.mark.parametrize("name", ORDER)
def test_modules_become_random_last_to_first_and_stay_so(name: str) -> None:
    _, net = network(name)
    seen: list[list[str]] = []

    def explain(changed: Network) -> Tensor:
        old, new = weights(net), weights(changed)
        groups = net.parameter_groups.items()
        seen.append([group for group, names in groups if any(not torch.equal(old[n], new[n]) for n in names)])
        return torch.arange(4.0).view(1, 2, 2)

    steps: list[str] = []
    found = cascading_randomisation(net, explain, progress=lambda done, total, note="": steps.append(note))
    order = ORDER[name]
    assert [step.module for step in found.steps] == steps == order[::-1]
    assert seen[:2] == [[], []]  # the original, twice
    assert seen[2:] == [order[-done:] for done in range(1, len(order) + 1)]


@pytest.mark.parametrize("explainer", [saliency, first_layer_cam])
@pytest.mark.parametrize("name", ["plain", "normed", "residual", "trojan1", "trojan2"])
def test_maps_of_gradients_lose_their_resemblance(
    name: str, explainer: Callable[..., Callable[[Network], Tensor]]
) -> None:
    _, net = network(name)
    images = images_for(net, 12)
    found = cascading_randomisation(net, explainer(images, net(images).argmax(1)), seed=3)
    assert found.depends_on_weights
    assert abs(float(found.steps[-1].signed.nanmean())) < 0.5
    assert str(found).startswith("depends on the network's weights: with ")


def test_a_map_of_the_centre_does_not_depend_on_the_weights() -> None:
    _, net = network("trojan2")
    bump = torch.hann_window(10, periodic=False)
    found = cascading_randomisation(net, lambda _: torch.outer(bump, bump).expand(4, 10, 10))
    for step in found.steps:
        assert step.signed.tolist() == step.absolute.tolist() == [1.0] * 4
        assert step.unchanged == 1
    assert not found.depends_on_weights
    assert str(found) == (
        "does not depend on the network's weights: with 8 modules random, dense_3 back to conv2d_5, every map is the same"
    )
    assert all((interval.low, interval.high) == (1, 1) for interval in found.intervals())


def test_a_map_of_the_image_with_a_little_of_the_network_hardly_depends_on_it() -> None:
    _, net = network("plain")
    images = images_for(net, 4)
    ramp = torch.arange(144.0).view(12, 12)
    found = cascading_randomisation(net, lambda changed: ramp + 0.001 * changed(images)[:, :1, None])
    assert found.depends_on_weights
    assert str(found).startswith("hardly depends on the network's weights")


def test_only_the_modules_named_become_random_in_their_own_order() -> None:
    _, net = network("residual")
    images = images_for(net, 3)
    found = cascading_randomisation(net, saliency(images, net(images).argmax(1)), ["0", "4.linear", "2.conv1"])
    assert [step.module for step in found.steps] == ["4.linear", "2.conv1", "0"]


def test_signs_that_turn_round_show_in_the_signed_correlation_only() -> None:
    _, net = network("plain")
    ramp = torch.linspace(-1, 2, 9).view(1, 3, 3).expand(3, 3, 3)
    maps = iter([ramp, ramp, -ramp, ramp, torch.zeros(3, 3, 3)])
    found = cascading_randomisation(net, lambda _: next(maps))
    assert found.steps[0].signed.tolist() == [-1.0] * 3
    assert found.steps[0].absolute.tolist() == [1.0] * 3
    assert [step.unchanged for step in found.steps] == [0, 1, 0]
    assert found.steps[2].absolute.isnan().all()  # a blank map has no order
    assert str(found).endswith("every map is blank")
    signed = found.intervals(absolute=False)
    assert (signed[0].mean, signed[1].mean, signed[2].images) == (-1, 1, 0)


def test_some_blank_maps_are_counted_in_words() -> None:
    _, net = network("plain")
    ramp = torch.arange(4.0).view(1, 2, 2).repeat(3, 1, 1)
    blank = ramp.clone()
    blank[1] = 0
    maps = iter([ramp, ramp, ramp, ramp, blank])
    assert str(cascading_randomisation(net, lambda _: next(maps))).endswith("(blank: 1 of 3)")


def test_bad_maps_are_refused() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="at least one map and one module"):
        cascading_randomisation(net, lambda _: torch.ones(0, 2, 2))
    with pytest.raises(DataError, match="at least one map and one module"):
        cascading_randomisation(net, lambda _: torch.ones(1, 2, 2), [])
    with pytest.raises(DataError, match="seed the method"):
        cascading_randomisation(net, lambda _: torch.rand(2, 3, 3))
    shapes = iter([(2, 3), (2, 3), (3, 3)])
    with unchecked(), pytest.raises(DataError, match=r"with linear random, the maps are of shape \(1, 3, 3\)"):
        cascading_randomisation(net, lambda _: torch.ones(1, *next(shapes)))
