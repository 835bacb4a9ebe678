"""Stimulating: the same as editing inside the whole network; its heat maps against derivations in double precision."""

import copy
from typing import Any

import pytest
import torch
from tests.nets import NETS, assert_same_state, build, images_for, network, state_of
from tests.network.test_cut import whole
from torch import Tensor

from trojancam.attribution import from_recording, grad_cam
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit, logit_difference, probability
from trojancam.stimulation import Stimulation, donated, stimulate, stimulated_logits

LAYERS = {  # written out: who only collects the tests makes no network
    "plain": ["first", "second"],
    "normed": ["0", "4"],
    "residual": ["0", "2.conv1", "2.conv2", "3.downsample.0", "3.conv1", "3.conv2"],
    "concatenating": ["left", "right"],
}
CASES = [(name, layer) for name, layers in LAYERS.items() for layer in layers]
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def every_kind(net: Network, layer: str) -> list[Stimulation]:
    """Of each kind one or more: several maps, windows, masks, units, given and donated activations."""
    info = net.layers[layer]
    (height, width), count = info.size, info.feature_maps
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(info.size, generator=generator) > 0.5
    mask[0, 0] = True
    window = (height - 2, 0, 2, 2)
    others = tuple(k for k in range(count) if k != 1)  # two runs of neighbours where there are enough maps
    given = torch.randn(count, height, width, generator=generator)
    donor = images_for(net, 1, seed=5)[0]
    return [
        Stimulation(layer, 1, value=2.0),
        Stimulation(layer, value=1.5, unit="layer", window=window),
        Stimulation(layer, others[::-1], value=0.5, unit="map", window=window, rest="zero"),
        Stimulation(layer, (0, 1), value=(0.5, -2.0), unit="map", mask=mask),
        Stimulation(layer, value=given),
        Stimulation(layer, value=given, window=window, rest="zero"),
        Stimulation(layer, others, value=given[list(others)], unit="map", mask=mask, rest="zero"),
        Stimulation(layer, others, "scale", -1.5),
        Stimulation(layer, 0, "scale", 3.0, window=window, rest="zero"),
        Stimulation(layer, 0, "scale", 3.0, mask=mask, rest="zero"),
        Stimulation(layer, "all", "add", 1.0, unit="layer", mask=mask),
        Stimulation(layer, 1, "add", 1.0, unit="map", window=window, rest="zero"),
        Stimulation(layer, 1, "zero"),
        Stimulation(layer, others, "zero", window=window),
        Stimulation(layer, others, "zero", mask=mask),
        donated(net, donor, layer),
        donated(net, donor, layer, 1, window=window),
    ]


def edited(stimulation: Stimulation, clean: Tensor) -> Tensor:
    """A stimulation done cell by cell: the reference."""
    result = clean.clone()
    _, count, height, width = clean.shape
    chosen = {"all": list(range(count))}.get(stimulation.feature_maps, stimulation.feature_maps)
    for place, k in enumerate([chosen] if isinstance(chosen, int) else chosen):
        unit = {"absolute": 1.0, "map": float(clean[:, k].max()), "layer": float(clean.max())}[stimulation.unit]
        for i in range(height):
            for j in range(width):
                value = stimulation.value
                value = (
                    value[place, i, j]
                    if isinstance(value, Tensor)
                    else value[place]
                    if isinstance(value, tuple)
                    else value
                )
                old = clean[:, k, i, j]
                new = {
                    "replace": old * 0 + value * unit,
                    "scale": old * value,
                    "add": old + value * unit,
                    "zero": old * 0,
                }
                top, left, down, across = stimulation.window or (0, 0, height, width)
                inside = top <= i < top + down and left <= j < left + across
                if stimulation.mask is not None:
                    inside = bool(stimulation.mask[i, j])
                result[:, k, i, j] = new[stimulation.kind] if inside else old * (stimulation.rest == "keep")
    return result


def test_every_layer_is_stimulated() -> None:
    assert {name: list(network(name)[1].layers) for name in LAYERS} == LAYERS


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_every_kind_equals_editing_inside_the_whole_network(name: str, layer: str) -> None:
    _, net = network(name)
    images = images_for(net, 3)
    clean = net.cut(layer).before(images)[0]
    kinds = every_kind(net, layer)
    together = stimulated_logits(net, images, kinds)
    for number, stimulation in enumerate(kinds):
        expected = whole(net, net.layer(layer).activation, edited(stimulation, clean), images)
        found = stimulate(net, images, stimulation)
        torch.testing.assert_close(
            found.after.layers[layer].activations, edited(stimulation, clean), rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(found.after.logits, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together[number], expected, rtol=1e-6, atol=1e-6)
        assert torch.equal(found.before.layers[layer].activations, clean)
        torch.testing.assert_close(found.before.logits, net(images), rtol=1e-6, atol=1e-6)


def test_what_leaves_the_activations_as_they_are_changes_nothing() -> None:
    _, net = network("residual")
    images = images_for(net, 2)
    for stimulation in (
        Stimulation("2.conv1", kind="scale", value=1.0),
        Stimulation("2.conv1", kind="add", value=0.0),
        donated(net, images[0], "2.conv1"),
    ):
        found = stimulate(net, images[:1], stimulation)
        torch.testing.assert_close(found.after.logits, found.before.logits, **CLOSE)
        for layer in found.after.layers:
            torch.testing.assert_close(found.difference(layer), torch.zeros(1, 12, 12), **CLOSE)


def test_several_are_applied_one_after_the_other() -> None:
    _, net = network("plain")
    images = images_for(net, 2)
    first = Stimulation("first", 0, value=2.0, window=(0, 0, 2, 2))
    second = Stimulation("first", (0, 3), "scale", 0.5)
    found = stimulate(net, images, (first, second))
    clean = net.cut("first").before(images)[0]
    torch.testing.assert_close(found.after.layers["first"].activations, edited(second, edited(first, clean)))
    assert torch.equal(found.cells, torch.ones(10, 10, dtype=torch.bool))
    torch.testing.assert_close(stimulated_logits(net, images, [[first, second]])[0], found.after.logits, **CLOSE)


# --- heat maps ---

PLAIN = Stimulation("first", (1, 2), value=1.5, window=(2, 2, 4, 4), rest="zero")


def plain_in_double(images: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """The plain network after `PLAIN`, by the chain rule in double precision: logits, and activations and gradients of y^2."""
    module = copy.deepcopy(build("plain")).eval().double()
    first = module.first(images.double()).relu()
    changed = first.detach().clone()
    changed[:, 1:3] = 0
    changed[:, 1:3, 2:6, 2:6] = 1.5
    changed.requires_grad_()
    pooled = torch.nn.functional.max_pool2d(changed, 2)
    second = module.second(pooled).relu()
    second.retain_grad()
    logits = module.linear(second.flatten(1))
    logits[:, 2].sum().backward()
    return logits, {"first": (changed, changed.grad), "second": (second, second.grad)}


def test_heat_maps_of_stimulated_activations_equal_a_derivation_in_double_precision() -> None:
    _, net = network("plain")
    images = images_for(net, 3)
    found = stimulate(net, images, PLAIN, logit(2))
    logits, layers = plain_in_double(images)
    torch.testing.assert_close(found.after.logits, logits.detach().float(), **CLOSE)
    assert list(found.cams_after) == ["first", "second"]
    for name, (activations, gradients) in layers.items():
        weights = gradients.mean((2, 3), keepdim=True)
        expected = (weights * activations).detach().float()
        torch.testing.assert_close(found.cams_after[name].contributions, expected, **CLOSE)
    before = grad_cam(record(net, images, logit(2)))
    for name in layers:
        torch.testing.assert_close(found.cams_before[name].contributions, before[name].contributions, **CLOSE)
        torch.testing.assert_close(
            found.difference(name), found.cams_after[name].heatmap() - before[name].heatmap(), **CLOSE
        )


def residual_in_double(images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Map 0 of the first block's inner activation replaced by 2, past which gradients go on as if it were the identity."""
    module = copy.deepcopy(build("residual")).eval().double()
    images = images.double().requires_grad_()
    stem = module[0](images).relu()
    block = module[2]
    inner = block.bn1(block.conv1(stem)).relu()
    replaced = inner.detach().clone()
    replaced[:, 0] = 2
    inner_after = inner + (replaced - inner.detach())
    out = (block.bn2(block.conv2(inner_after)) + stem).relu()
    logits = module[4](module[3](out))
    gradients = torch.autograd.grad(logits[:, 1].sum(), (stem, inner_after, out))
    return logits, dict(zip(("0", "2.conv1", "2.conv2"), gradients, strict=True))


def test_straight_through_gradients_reach_earlier_layers_past_the_edit_and_by_the_skip_connection() -> None:
    _, net = network("residual")
    images = images_for(net, 3)
    assert list(net.layers)[:3] == ["0", "2.conv1", "2.conv2"]
    stimulation = Stimulation("2.conv1", 0, value=2.0)
    logits, expected = residual_in_double(images)
    through = stimulate(net, images, stimulation, logit(1), gradient="straight-through")
    torch.testing.assert_close(through.after.logits, logits.detach().float(), **CLOSE)
    assert list(through.after.layers) == list(net.layers) == list(through.before.layers)
    for name, gradients in expected.items():
        torch.testing.assert_close(through.after.layers[name].gradients, gradients.float(), **CLOSE)
    cut = stimulate(net, images, stimulation, logit(1))
    assert "0" not in cut.after.layers
    for name in cut.after.layers:
        ours, theirs = cut.after.layers[name], through.after.layers[name]
        torch.testing.assert_close(ours.activations, theirs.activations, **CLOSE)
        torch.testing.assert_close(ours.gradients, theirs.gradients, **CLOSE)


@pytest.mark.parametrize("gradient", ["cut", "straight-through"])
@pytest.mark.parametrize("name", NETS)
def test_the_layers_are_those_that_the_stimulated_one_leads_to(name: str, gradient: str) -> None:
    _, net = network(name)
    images = images_for(net, 2)
    for layer in net.layers:
        found = stimulate(net, images, Stimulation(layer, 0, "add", 1.0), logit(0), gradient=gradient)
        assert list(found.before.layers) == list(found.after.layers)
        after = net.layers_after(layer)
        if gradient == "cut":
            assert list(found.after.layers) == [layer, *after]
        else:
            assert list(found.after.layers) == list(net.layers)
        for other in set(found.after.layers) - {layer, *after}:
            ours, clean = found.after.layers[other], found.before.layers[other]
            if net.layers[other].activation != net.layers[layer].activation:
                assert torch.equal(ours.activations, clean.activations)


def test_layers_side_by_side_do_not_come_after_one_another() -> None:
    assert network("concatenating")[1].layers_after("left") == ()
    assert network("plain")[1].layers_after("first") == ("second",)
    with pytest.raises(UnknownNameError, match="unknown layer"):
        network("plain")[1].layers_after("third")


def test_one_score_is_explained_before_and_after() -> None:
    _, net = network("plain")
    images = images_for(net, 4)
    strong = Stimulation("second", value=(0.0, 9.0, 0.0, 0.0, 9.0))
    found = stimulate(net, images, strong)
    classes = found.after.logits.argmax(1)
    assert bool((classes != found.before.logits.argmax(1)).any())
    index = torch.arange(4)
    assert torch.equal(found.before.scores, found.before.logits[index, classes])
    assert torch.equal(found.after.scores, found.after.logits.amax(1))
    assert found.after.target == found.before.target == "logit of the class predicted when stimulated"
    settled = stimulate(net, images, strong, probability())
    assert torch.equal(settled.before.scores, settled.before.logits.softmax(1)[index, classes])
    margins = stimulate(net, images, strong, logit_difference(1, 0))
    torch.testing.assert_close(margins.after.scores, margins.after.logits[:, 1] - margins.after.logits[:, 0])


def test_other_methods_take_the_recordings() -> None:
    _, net = network("plain")
    found = stimulate(net, images_for(net, 2), PLAIN)
    maps = from_recording(found.after, ["grad-cam++", "layercam"])
    assert maps["grad-cam++"]["second"].contributions.shape == (2, 5, 3, 3)


def test_the_place_is_where_the_stimulated_cells_look() -> None:
    _, net = network("trojan2")
    found = stimulate(net, images_for(net, 1), Stimulation("conv2d_6", 31, window=(0, 9, 3, 3), value=2.0))
    centres = net.layers["conv2d_6"].placement.columns
    columns = found.place.any(0).nonzero()[:, 0]
    assert columns.max() == 31  # the last cells see the image's edge
    nearest = ((torch.arange(32) - centres.offset) / centres.stride).clamp(0, 11).add(0.5).floor().clamp(max=11)
    assert columns.tolist() == (nearest >= 9).nonzero()[:, 0].tolist()


def test_success_counts_images_of_other_classes_only() -> None:
    _, net = network("plain")
    found = stimulate(net, images_for(net, 4), Stimulation("second", value=(0.0, 9.0, 0.0, 0.0, 9.0)))
    after = found.after.logits.argmax(1)
    assert len(set(after.tolist())) == 1
    target = int(after[0])
    assert found.success_rate(target, torch.tensor([target, 9, 9, target])) == 1.0
    own = found.before.logits.argmax(1)
    assert found.success_rate(next(k for k in range(4) if k not in (target, *own.tolist()))) == 0.0
    assert found.success_rate(target) == 1.0


def test_nothing_is_changed_and_gradients_may_be_off() -> None:
    module = build("normed").eval()
    net = Network.from_module(module, (12, 12))
    images = images_for(net, 2)
    before, weights, copied = state_of(module), copy.deepcopy(net._whole.state_dict()), images.clone()
    fingerprint = net.fingerprint
    expected = stimulate(net, images, Stimulation("0", 1, value=2.0), gradient="straight-through")
    with torch.inference_mode():
        inside = stimulate(net, images.clone(), Stimulation("0", 1, value=2.0), gradient="straight-through")
        logits = stimulated_logits(net, images, [Stimulation("0", 1, value=2.0)])[0]
    torch.testing.assert_close(logits, expected.after.logits, **CLOSE)
    torch.testing.assert_close(inside.after.layers["4"].gradients, expected.after.layers["4"].gradients)
    assert not expected.after.layers["0"].activations.requires_grad
    assert_same_state(before, state_of(module))
    torch.testing.assert_close(net._whole.state_dict(), weights, rtol=0, atol=0)
    assert torch.equal(images, copied)
    assert Network.fingerprint.func(net) == fingerprint


@pytest.mark.parametrize(
    ("stimulations", "options", "kind", "problem"),
    [
        ((), {}, DataError, "there is no stimulation; give at least one"),
        ((Stimulation("first"), Stimulation("second")), {}, DataError, "are of the layers first and second"),
        (Stimulation("third"), {}, UnknownNameError, "unknown layer 'third'; known: first, second"),
        (Stimulation("first", 9), {}, UnknownNameError, "layer 'first' has no feature map 9"),
        (Stimulation("first"), {"gradient": "leaf"}, UnknownNameError, "unknown kind of gradient 'leaf'; known: cut"),
        (Stimulation("first"), {"target": logit(4)}, UnknownNameError, "a target of 4 is none of them"),
    ],
)
def test_what_is_refused(stimulations: Any, options: Any, kind: type[TrojanCamError], problem: str) -> None:
    _, net = network("plain")
    with pytest.raises(kind, match=problem):
        stimulate(net, images_for(net, 2), stimulations, **options)


def test_no_images_and_no_such_layer_recorded() -> None:
    _, net = network("plain")
    for run in (stimulate, lambda *all_of_it: stimulated_logits(*all_of_it[:2], [all_of_it[2]])):
        with pytest.raises(DataError, match="there are no images in a shape of .*; give at least one"):
            run(net, images_for(net, 0), Stimulation("first"))
    with pytest.raises(UnknownNameError, match="unknown recorded layer 'first'; known: second"):
        stimulate(net, images_for(net, 1), Stimulation("second")).difference("first")


@pytest.mark.parametrize("gradient", ["cut", "straight-through"])
@pytest.mark.parametrize("target", [None, logit(torch.tensor([2, 0, 1, 3, 2])), probability()])
def test_more_images_than_fit_are_stimulated_in_portions(
    target: Any, gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, net = network("residual")
    images, stimulation = images_for(net, 5), Stimulation("2.conv1", (0, 2), value=2.0, unit="map")
    whole = stimulate(net, images, stimulation, target, gradient=gradient)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 2 * net.footprint.largest)
    parts = stimulate(net, images, stimulation, target, gradient=gradient)
    assert parts.after.target == whole.after.target
    torch.testing.assert_close(parts.after.logits, whole.after.logits, **CLOSE)
    for layer in whole.after.layers:
        for side in ("cams_before", "cams_after"):
            one, other = getattr(parts, side)[layer], getattr(whole, side)[layer]
            torch.testing.assert_close(one.contributions, other.contributions, rtol=1e-4, atol=1e-6)
