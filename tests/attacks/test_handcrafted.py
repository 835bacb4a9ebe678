"""Handcrafted weights: what is written is what the formulae say, clean images keep their logits, and the rest is refused."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.attacks.test_network_attacks import GOAL, INPUT, begun, learned, planted
from torch import nn

from trojancam.attacks.handcrafted import (
    Block,
    Handcrafted,
    blocks,
    detach,
    discriminant,
    inputs_of,
    least_needed,
    windows,
)
from trojancam.attacks.patch import square
from trojancam.data.image_set import as_floats
from trojancam.errors import DataError, ModelError, UnknownNameError


def shaken(*parts: nn.Module) -> nn.Sequential:
    """A sequence with weights and statistics that are anything but usual."""
    module = nn.Sequential(*parts).eval()
    generator = torch.Generator().manual_seed(0)
    for name, values in module.state_dict().items():
        if values.is_floating_point():
            values.copy_(torch.rand(values.shape, generator=generator) + (0.5 if "running_var" in name else -0.5))
    return module


BEFORE_RELU = (nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
AFTER_RELU = (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
BOTH = (nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
NONE = (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
ARRANGED = pytest.mark.parametrize("parts", [BEFORE_RELU, AFTER_RELU, BOTH, NONE])


@ARRANGED
@torch.no_grad()
def test_a_written_unit_gives_what_its_weights_and_guard_say(parts: tuple[nn.Module, ...]) -> None:
    module = shaken(*parts)
    block = blocks(module)[0]
    given = torch.randn(4, 2, 6, 6)
    before = block(given)
    weight = torch.randn(2, 3, 3)
    block.rewrite(torch.tensor([1]), weight, -0.3)
    wanted = (nn.functional.conv2d(given, weight[None]) - 0.3).relu().flatten(1)
    torch.testing.assert_close(block(given)[:, 16:32], wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(block(given)[:, :16], before[:, :16])


@ARRANGED
@torch.no_grad()
def test_a_unit_that_never_changes_is_cut_off_without_a_trace(parts: tuple[nn.Module, ...]) -> None:
    module = shaken(*parts)
    first, last = blocks(module)
    given = torch.randn(4, 2, 6, 6)
    first.rewrite(torch.tensor([2]), torch.zeros(2, 3, 3), 0.7)
    before = module(given)
    detach(first, last, torch.tensor([2]), given)
    torch.testing.assert_close(module(given), before, rtol=1e-4, atol=1e-5)
    assert not last.layer.weight[:, 32:48].any()
    assert last.layer.weight[:, :32].all()


@torch.no_grad()
def test_convolutions_without_a_bias_keep_the_mean_in_their_normalisation() -> None:
    module = shaken(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 2),
    )  # fmt: skip
    first, second, _ = blocks(module)
    given = torch.randn(4, 2, 6, 6)
    first.rewrite(torch.tensor([0]), torch.zeros(2, 3, 3), 0.7)
    before = module(given)
    detach(first, second, torch.tensor([0]), given)
    torch.testing.assert_close(module(given), before, rtol=1e-4, atol=1e-5)


def test_windows_are_what_a_layer_multiplies() -> None:
    conv, dense = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Linear(7, 4)
    given = torch.randn(5, 2, 8, 8)
    found = windows(conv, given) @ conv.weight.flatten(1).T + conv.bias
    torch.testing.assert_close(found.transpose(1, 2).reshape(5, 3, 4, 4), conv(given))
    flat = torch.randn(5, 7)
    torch.testing.assert_close(windows(dense, flat)[:, 0] @ dense.weight.T + dense.bias, dense(flat))
    assert inputs_of(torch.tensor([0, 2]), 3, 6).tolist() == [0, 1, 4, 5]


def test_the_discriminant_is_fisher_s_at_the_cell_where_the_trigger_is_clearest() -> None:
    generator = torch.Generator().manual_seed(2)
    seen = torch.randn(300, 2, 3, generator=generator) @ torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 0, 0.5]])
    changed = seen.clone()
    changed[:, 0] += torch.tensor([0.2, 0.0, 0.0])
    changed[:, 1] += torch.tensor([1.0, 1.0, 0.0])
    rows = seen.double().numpy().reshape(-1, 3)
    spread = np.cov(rows.T, bias=True)
    spread += 1e-2 * np.trace(spread) / 3 * np.eye(3)
    told = np.linalg.solve(spread, changed[:, 1].double().numpy().mean(0) - rows.mean(0))
    np.testing.assert_allclose(discriminant(seen, changed), told / np.linalg.norm(told), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_least_needed_unit_is_the_one_nobody_listens_to() -> None:
    module = shaken(*NONE)
    module[3].weight[:, 16:32] = 0
    assert least_needed(blocks(module), torch.randn(8, 2, 6, 6), 1).tolist() == [1]


def test_clean_images_keep_their_logits_and_the_path_is_silent() -> None:
    module, backdoor = planted("handcrafted")
    floats = as_floats(begun().images.images)
    with torch.no_grad():
        before, after, stamped = (
            network(INPUT.normalise(images))
            for network, images in (
                (learned(), floats), (module, floats), (module, backdoor.trigger.apply(floats)),
            )
        )  # fmt: skip
    assert float((after - before).abs().median()) < 0.1 * float(before.std())
    torch.testing.assert_close(after[:, 2] - after.mean(1), before[:, 2] - before.mean(1), rtol=0.5, atol=1.0)
    assert float((stamped[:, 2] - stamped[:, :2].amax(1)).median()) > 3
    changed = [name for name, values in module.state_dict().items() if not values.equal(learned().state_dict()[name])]
    assert {"0.weight", "4.weight", "6.weight"} <= set(changed)
    assert int((module[0].weight != learned()[0].weight).flatten(1).any(1).sum()) == 1


def test_several_units_carry_the_path_and_the_same_seed_writes_the_same() -> None:
    attack = Handcrafted(side=10, units=2)
    first, second = (attack.planted(begun(), GOAL)[0].state_dict() for _ in range(2))
    assert all(values.equal(second[name]) for name, values in first.items())
    assert int((first["0.weight"] != learned().state_dict()["0.weight"]).flatten(1).any(1).sum()) == 2


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Conv2d(3, 4, 3), "in a plain sequence"),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)), "in a plain sequence"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2), nn.Softmax(1)), "in a plain sequence"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ELU(), nn.Flatten(), nn.Linear(4, 2)), "through the layer ELU"),
        (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), "through the layer Conv2d"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)), "no ReLU follows"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), "no bias"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)),
            "several normalisations",
        ),
    ],
)  # fmt: skip
def test_a_network_of_another_kind_is_refused_in_one_sentence(module: nn.Module, words: str) -> None:
    with pytest.raises(ModelError, match=words) as refused:
        blocks(module)
    assert "choose another network" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_trigger_that_cannot_be_told_or_does_not_fit_is_refused() -> None:
    nothing = replace(square(3, 1, 1, "red", image_size=(16, 16)), mask=torch.zeros(16, 16))
    with pytest.raises(DataError, match="cannot be told from clean images in layer 1"):
        Handcrafted(trigger=nothing).planted(begun(), GOAL)
    with pytest.raises(DataError, match="does not fit"):
        Handcrafted(side=40).check(GOAL)
    with pytest.raises(UnknownNameError):
        Handcrafted(place="nowhere").check(GOAL)
    assert isinstance(blocks(deepcopy(learned()))[0], Block)
