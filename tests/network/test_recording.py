"""Recording: activations equal what hooks see, gradients equal autograd's, and nothing is left behind."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.held import Held
from tests.nets import NETS, SIZE, Head, assert_same_state, build, images, images_for, network, state_of, unchecked
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import Target, custom, logit, logit_difference, probability

Forward = Callable[[nn.Module, Tensor], tuple[dict[str, Tensor], Tensor]]

# The same networks written out once more, each activation kept in its place: what `record` must find.


def plain(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    first = m.first(x).relu()
    second = m.second(nn.functional.max_pool2d(first, 2)).relu()
    return {"first": first, "second": second}, m.linear(second.flatten(1))


def normed(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    first = m[1](m[0](x)).relu()
    second = m[5](m[4](first)).relu()
    return {"0": first, "4": second}, m[7](second)


def residual(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    kept = {"0": m[0](x).relu()}
    out = kept["0"]
    for name in ("2", "3"):
        block = m[int(name)]
        kept[f"{name}.conv1"] = block.bn1(block.conv1(out)).relu()
        skip = out if block.downsample is None else block.downsample(out)
        out = kept[f"{name}.conv2"] = (block.bn2(block.conv2(kept[f"{name}.conv1"])) + skip).relu()
    kept["3.downsample.0"] = out
    return kept, m[4](out)


def twice(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    stem = m.stem(x).relu()
    once = m.shared(stem).relu()
    again = m.shared(once).relu()
    return {"stem": stem, "shared": once, "shared#2": again}, m.head(again)


def concatenating(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    left, right = m.left(x).relu(), m.right(x)
    return {"left": left, "right": right}, m.head(torch.cat([left, right], 1))


def depthwise(m: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    first = nn.functional.silu(m[0](x))
    second = nn.functional.gelu(m[2](first))
    third = m[4](second)
    return {"0": first, "2": second, "4": third}, m[5](third)


WRITTEN_OUT: dict[str, Forward] = {
    "plain": plain, "normed": normed, "residual": residual, "twice": twice,
    "concatenating": concatenating, "depthwise": depthwise,
}  # fmt: skip


@pytest.mark.parametrize("target", [logit(2), logit(), probability(1), logit_difference(0, 3)], ids=lambda t: t.name)
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_activations_and_gradients_equal_autograd_on_the_module(name: str, target: Target) -> None:
    module, net = network(name)
    inputs = images(3)
    kept, logits = WRITTEN_OUT[name](module, inputs.clone().requires_grad_())
    scores = target(logits)
    gradients = torch.autograd.grad(scores.sum(), list(kept.values()))
    recording = record(net, inputs, target)
    torch.testing.assert_close(recording.logits, logits.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(recording.scores, scores.detach(), rtol=1e-5, atol=1e-6)
    assert set(recording.layers) == set(kept)
    for (layer, activations), gradient in zip(kept.items(), gradients, strict=True):
        torch.testing.assert_close(recording.layers[layer].activations, activations.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(recording.layers[layer].gradients, gradient, rtol=1e-5, atol=1e-7)
        assert recording.layers[layer].on_path
    assert (recording.target, recording.image_size) == (target.name, SIZE)


TOKENS = {
    "transformer": ("blocks.0.attn", "blocks.0.mlp", "blocks.0"),
    "pointwise": ("mlp.fc1", "mlp", "sum"),
}


@pytest.mark.parametrize("name", [*(name for name in NETS if name != "twice"), *ARCHITECTURES])
def test_raw_convolutions_equal_forward_hooks(name: str) -> None:
    module, net = network(name)
    inputs = images_for(net, 2)
    hooked: dict[str, Tensor] = {}
    handles = [
        part.register_forward_hook(lambda _, __, out, path=path: hooked.update({path: out.detach().clone()}))
        for path, part in module.named_modules()
        if isinstance(part, nn.Conv2d)
    ]
    with torch.no_grad():
        module(net.input.normalise(inputs).contiguous())
    for handle in handles:
        handle.remove()
    recording = record(net, inputs, at="conv")
    assert set(recording.layers).difference(TOKENS.get(name, ())) == set(hooked)
    for layer, expected in hooked.items():
        torch.testing.assert_close(recording.layers[layer].activations, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["basic", "trojan1", "trojan2"])
def test_the_study_networks_equal_hooks_and_retained_gradients(name: str) -> None:
    module, net = network(name)
    inputs = images_for(net, 2)
    kept: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, out: Tensor) -> None:
            out.retain_grad()
            kept[path] = out

        return hook

    handles = [
        part.register_forward_hook(keep(path.replace("relu_", "conv2d_")))
        for path, part in module.named_modules()
        if path.startswith("relu_")
    ]
    logits = module(net.input.normalise(inputs))
    for handle in handles:
        handle.remove()
    torch.autograd.backward(logits[:, 10].sum(), inputs=list(kept.values()))
    recording = record(net, inputs, logit(10))
    assert list(recording.layers) == list(kept)
    for layer, expected in kept.items():
        torch.testing.assert_close(recording.layers[layer].activations, expected.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(recording.layers[layer].gradients, expected.grad, rtol=1e-4, atol=1e-7)


def test_a_module_called_twice_has_two_gradients() -> None:
    layers = record(network("twice")[1], images(3)).layers
    assert not layers["shared"].gradients.allclose(layers["shared#2"].gradients)
    assert not layers["shared"].activations.allclose(layers["shared#2"].activations)


@pytest.mark.parametrize("name", [*NETS, "basic"])
def test_a_batch_equals_its_images_one_by_one(name: str) -> None:
    _, net = network(name)
    inputs = images_for(net, 3)
    together = record(net, inputs)
    for i in range(3):
        alone = record(net, inputs[i : i + 1])
        torch.testing.assert_close(alone.logits[0], together.logits[i], rtol=1e-4, atol=1e-5)
        for layer, values in together.layers.items():
            torch.testing.assert_close(alone.layers[layer].activations[0], values.activations[i], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(alone.layers[layer].gradients[0], values.gradients[i], rtol=1e-4, atol=1e-6)


# --- which layers ---


@pytest.mark.parametrize(
    "target",
    [
        None, logit(1), logit(torch.tensor([3, 0, 1, 2, 3])), probability(), logit_difference(None, torch.arange(5) % 4),
        custom("of each image's own class", lambda logits: logits.gather(1, torch.tensor([[3], [0], [1], [2], [3]]))[:, 0]),
    ],
)  # fmt: skip
def test_more_images_than_fit_are_recorded_in_portions(target: Target | None, monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("residual")
    given, seen = images_for(net, 5), []
    whole = record(net, given, target)
    forward = Network.forward_with
    monkeypatch.setattr(
        Network, "forward_with", lambda self, inputs, *rest: seen.append(len(inputs)) or forward(self, inputs, *rest)
    )
    parts = record(net, given, target, memory_budget=2 * (net.footprint.live + net.footprint.kept))
    assert seen == [2, 2, 1]
    for name in ("logits", "scores", "saturated"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-6)
    for name, layer in whole.layers.items():
        torch.testing.assert_close(parts.layers[name].activations, layer.activations, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(parts.layers[name].gradients, layer.gradients, rtol=1e-4, atol=1e-6)
        assert parts.layers[name].on_path == layer.on_path
    assert parts.target == whole.target


def test_what_many_images_take_beside_the_recording_stays_within_the_budget() -> None:
    _, net = network("basic")
    given, budget = images_for(net, 40), 2**22
    record(net, given[:1])
    with Held() as held:
        recording = record(net, given, memory_budget=budget)
    returned = sum(layer.activations.nbytes + layer.gradients.nbytes for layer in recording.layers.values())
    assert 0.1 * budget <= held.peak - returned <= budget


def test_an_image_that_cannot_be_scored_is_named_by_its_place_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    given = images_for(net, 5)
    logits = net(given)
    undefined = custom("undefined", lambda some: some[:, 0] / (some - logits[3]).abs().sum(1).gt(1e-5))
    budget = 2 * (net.footprint.live + net.footprint.kept)
    with pytest.raises(DataError, match=r"the target 'undefined' gives -?inf for image 3"):
        record(net, given, undefined, memory_budget=budget)
    with pytest.raises(DataError, match="a target for 3 images cannot be taken of 5"), unchecked():
        record(net, given, logit(torch.tensor([0, 1, 2])), memory_budget=budget)


def test_layers_come_in_the_callers_order_each_once() -> None:
    _, net = network("residual")
    everything = record(net, images(2))
    some = record(net, images(2), layers=["3.conv2", "0", "3.conv2"])
    assert list(some.layers) == ["3.conv2", "0"]
    for name, values in some.layers.items():
        assert values.activations.equal(everything.layers[name].activations)
        assert values.gradients.equal(everything.layers[name].gradients)


def test_no_layers_leave_logits_and_scores() -> None:
    _, net = network("plain")
    recording = record(net, images(2), logit(1), layers=[])
    assert recording.layers == {}
    assert recording.scores.equal(net(images(2))[:, 1])


def test_branches_that_meet_in_one_activation_record_the_same() -> None:
    layers = record(network("residual")[1], images(2)).layers
    assert layers["3.conv2"].activations.equal(layers["3.downsample.0"].activations)
    assert layers["3.conv2"].gradients.equal(layers["3.downsample.0"].gradients)


def test_a_layer_that_the_score_does_not_depend_on_has_zero_gradients() -> None:
    recording = record(network("dangling")[1], images(2), logit(0))
    unused = recording.layers["unused"]
    assert (unused.on_path, recording.layers["used"].on_path) == (False, True)
    assert unused.gradients.shape == unused.activations.shape
    assert unused.gradients.count_nonzero() == 0
    assert recording.layers["used"].gradients.count_nonzero() > 0


def test_a_score_that_depends_on_nothing_has_no_layer_on_its_path() -> None:
    constant = Target("one", lambda logits: torch.ones(len(logits)))
    recording = record(network("plain")[1], images(2), constant)
    assert [layer.on_path for layer in recording.layers.values()] == [False, False]
    assert all(layer.gradients.count_nonzero() == 0 for layer in recording.layers.values())


class FrozenBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), Head(4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.conv(x).relu()
        return self.head(x)


def test_a_backbone_that_runs_without_gradients_is_explained_all_the_same() -> None:
    module = FrozenBackbone()
    gradients = record(Network.from_module(module, SIZE), images(2), logit(1)).layers["conv"].gradients
    expected = module.head.linear.weight[1].detach().view(1, 4, 1, 1).expand(2, 4, 10, 10) / 100
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-9)


# --- nothing is changed, wherever it is called ---


def test_recording_changes_neither_network_nor_module_nor_images() -> None:
    module = build("normed")
    net = Network.from_module(module, SIZE)
    inputs = images(3)
    before, outputs, copy = state_of(module), net(inputs), inputs.clone()
    weights = [p.clone() for p in net._whole.parameters()]
    record(net, inputs)
    record(net, inputs, at="conv")
    assert_same_state(before, state_of(module))
    assert net(inputs).equal(outputs)
    assert inputs.equal(copy)
    assert not inputs.requires_grad
    assert all(p.equal(w) and p.grad is None for p, w in zip(net._whole.parameters(), weights, strict=True))


def test_what_is_recorded_holds_no_graph() -> None:
    recording = record(network("plain")[1], images(2).requires_grad_())
    tensors = [recording.logits, recording.scores]
    tensors += [t for layer in recording.layers.values() for t in (layer.activations, layer.gradients)]
    assert not any(tensor.requires_grad for tensor in tensors)


def test_a_recorded_activation_is_not_what_an_in_place_relu_left_behind() -> None:
    module, net = network("normed")
    raw = record(net, images(2), at="conv").layers["0"].activations
    torch.testing.assert_close(raw, module[0](images(2)).detach(), rtol=1e-5, atol=1e-6)
    assert (raw < 0).any()


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_switched_off(outside: Callable[[], object]) -> None:
    _, net = network("plain")
    expected = record(net, images(2))
    with outside():
        recording = record(net, images(2))
        assert not torch.is_grad_enabled()
    for name, layer in recording.layers.items():
        assert layer.gradients.equal(expected.layers[name].gradients)
        assert layer.activations.equal(expected.layers[name].activations)


def test_images_of_inference_mode_are_taken() -> None:
    _, net = network("plain")
    with torch.inference_mode():
        inputs = images(2).clone()
    assert record(net, inputs).scores.equal(record(net, images(2)).scores)


def test_it_works_on_a_network_made_in_inference_mode() -> None:
    module = build("plain")
    with torch.inference_mode():
        net = Network.from_module(module, SIZE)
    assert (
        record(net, images(2))
        .layers["second"]
        .gradients.equal(record(network("plain")[1], images(2)).layers["second"].gradients)
    )


def test_gradients_are_those_of_the_normalised_network() -> None:
    """Normalisation happens before the first layer: it must not scale the layers' gradients."""
    module = build("normed").eval()
    net = Network.from_module(module, specification=InputSpecification(size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3))
    _, logits = (kept := normed(module, (images(2) - 0.5) / 0.25))
    (expected,) = torch.autograd.grad(logits[:, 0].sum(), kept[0]["0"])
    torch.testing.assert_close(record(net, images(2), logit(0)).layers["0"].gradients, expected, rtol=1e-4, atol=1e-6)


# --- what cannot be recorded ---


def test_what_cannot_be_recorded_is_refused() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="there are no images"):
        record(net, images(0))
    with pytest.raises(UnknownNameError, match="unknown layer 'frist' .did you mean 'first'"):
        record(net, images(1), layers=["frist"])
    with pytest.raises(UnknownNameError, match="the network has classes 0 to 3; a target of 4 is none of them"):
        record(net, images(1), logit(4))
    with pytest.raises(DataError, match="divide them by 255"):
        record(net, images(1) * 255)


@pytest.mark.parametrize(
    "leave_torch",
    [
        lambda logits: torch.tensor(logits.detach().numpy()[:, 2]),
        lambda logits: logits.detach()[:, 2],
        lambda logits: torch.tensor([float(row.max()) for row in logits.detach()], requires_grad=True),
    ],
)
def test_a_score_that_leaves_torch_has_no_gradient_and_is_refused(leave_torch) -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="'<lambda>' has no gradient: it does not depend on the logits"):
        record(net, images(2), leave_torch)


def test_an_error_in_a_users_own_target_is_told_as_such() -> None:
    _, net = network("plain")
    with pytest.raises(
        DataError, match=r"the target '<lambda>' raised TypeError \(max.*correct it: it is given logits"
    ) as told:
        record(net, images(2), lambda logits: np.max(logits, 1))
    assert isinstance(told.value.__cause__, TypeError)
