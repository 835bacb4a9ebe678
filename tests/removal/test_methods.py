"""The field's repairs compute what they say: each formula against a derivation of its own, or an identity."""

import pytest
import torch
import torch.nn.functional as F
from tests.removal.trojaned import NEAR, clean_share, finding, network, seen
from torch import nn

from trojancam.detection.findings import Finding
from trojancam.detection.suspect import suspect
from trojancam.errors import DataError
from trojancam.network.network import Network
from trojancam.network.replay import before
from trojancam.progress import silent
from trojancam.removal.attention_distillation import attention
from trojancam.removal.contract import RepairJob
from trojancam.removal.fine_pruning import keeping, mean_activations, pruned_in_order
from trojancam.removal.goal import answer
from trojancam.removal.implicit_unlearning import hypergradient
from trojancam.removal.lipschitz_pruning import lipschitz, pruned
from trojancam.removal.map_weights import masked, scaling
from trojancam.removal.mask_learning import NOISE, Scaled, adversarial_masks
from trojancam.removal.repairing import REPAIRS, culprits_of
from trojancam.removal.sharpness import worst_nearby
from trojancam.removal.strategic import most_affected
from trojancam.removal.trigger_pruning import greedy_maps

SIZE = (8, 8)


def job() -> RepairJob:
    return RepairJob(seen(), culprits_of([finding()], 9))


def done(name: str) -> Network:
    (rung,) = REPAIRS.named(name).rungs(job())
    return rung.work(silent)


def module(normalising: bool) -> nn.Sequential:
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.rand(4), 0.5 + torch.rand(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        norm.bias.copy_(torch.rand(4))
    middle = [norm] if normalising else []
    return nn.Sequential(nn.Conv2d(3, 4, 3), *middle, nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


@pytest.mark.parametrize("normalising", [False, True])
def test_a_mask_multiplies_the_map_before_the_activation(normalising: bool):
    given = Network.from_module(module(normalising), SIZE)
    images = torch.rand(5, 3, *SIZE)
    mask = torch.tensor([1.0, 0.5, 0.0, 0.25])
    found = masked(given, {"0": mask})
    (old,), (new,) = (next(before(each.cut("0"), images)) for each in (given, found))
    torch.testing.assert_close(new, old * mask[None, :, None, None])
    assert len(scaling(given, "0")) == 2


@pytest.mark.parametrize("normalising", [False, True])
def test_the_bound_of_a_map_is_how_far_any_input_can_move_it(normalising: bool):
    parts = module(normalising)
    found = lipschitz(Network.from_module(parts, SIZE), "0")
    for number in range(4):
        kernel = parts[0].weight[number].detach().double().reshape(3, 9)
        bound = float(torch.linalg.eigvalsh(kernel @ kernel.T).max().sqrt())
        if normalising:
            bound *= float(parts[1].weight[number].detach().abs() / parts[1].running_var[number].double().sqrt())
        assert float(found[number]) == pytest.approx(bound, rel=1e-5)


def test_a_map_far_above_its_layer_is_silenced_and_no_other():
    torch.manual_seed(0)
    parts = nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 36, 3))
    with torch.no_grad():
        parts[0].weight[7] *= 40
    found = pruned(Network.from_module(parts, SIZE)).parameters["0.weight"].flatten(1).abs().sum(1)
    assert (found == 0).nonzero()[:, 0].tolist() == [7]


@pytest.mark.parametrize("normalising", [False, True])
def test_the_gradient_of_a_mask_is_that_of_the_loss_by_the_mask(normalising: bool):
    parts = module(normalising)
    scaled = Scaled.of(Network.from_module(parts, SIZE))
    images, labels = torch.rand(6, 3, *SIZE), torch.arange(6) % 3
    loss = F.cross_entropy(scaled.learner.logits(images), labels)
    scales, shifts = scaled.gradients(loss)

    def value(scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        exact = module(normalising).double().eval()
        raw = exact[0](images.double())
        if normalising:
            norm = exact[1]
            fresh = (raw - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
            raw = fresh * (scale * norm.weight)[:, None, None] + (shift * norm.bias)[:, None, None]
        else:
            bias = exact[0].bias[:, None, None]
            raw = (raw - bias) * scale[:, None, None] + bias * shift[:, None, None]
        return F.cross_entropy(exact[-1](raw.relu().flatten(1)), labels)

    ones = [torch.ones(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    exact = torch.autograd.grad(value(*ones), ones)
    torch.testing.assert_close(scales["0"].double(), exact[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(shifts["0"].double(), exact[1], rtol=1e-4, atol=1e-6)


def test_masks_stay_in_their_bounds_and_the_network_as_it_was():
    given = job()
    prints = given.suspect.network.fingerprint
    masks = adversarial_masks(given, silent, steps=3)
    assert all(bool(((mask >= 0) & (mask <= 1)).all()) for mask in masks.values())
    assert given.suspect.network.fingerprint == prints
    assert NOISE == 0.4


def test_the_step_to_the_worst_weights_is_as_long_as_its_radius_in_the_adaptive_norm():
    generator = torch.Generator().manual_seed(1)
    weights, gradients = ([torch.randn(shape, generator=generator) for shape in ((3, 2), (4,))] for _ in range(2))
    found = worst_nearby(weights, gradients, 2.0)
    inner = [step / weight.abs() for step, weight in zip(found, weights, strict=True)]
    assert float(torch.cat([each.flatten() for each in inner]).norm()) == pytest.approx(2.0, rel=1e-5)
    # of all steps as long in that norm, none raises the loss more: it is parallel to |w| g there
    steepest = torch.cat([(w.abs() * g).flatten() for w, g in zip(weights, gradients, strict=True)])
    own = torch.cat([each.flatten() for each in inner])
    assert float(F.cosine_similarity(own, steepest, dim=0)) == pytest.approx(1, abs=1e-6)


def test_attention_is_of_length_one_and_blind_to_scale():
    maps = torch.rand(3, 5, 4, 4)
    found = attention(maps)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(found, attention(7 * maps))
    squares = (maps.double() ** 2).sum(1).flatten(1)
    torch.testing.assert_close(found.double(), squares / squares.norm(dim=1, keepdim=True), rtol=1e-5, atol=1e-6)


def test_the_hypergradient_is_that_of_a_quadratic_problem_solved_exactly():
    """d*(w) = A^-1 B w for `inner = d'Ad/2 - d'Bw`, so that `outer = |d|^2/2 + c'w` has the gradient B'A^-1 d* + c."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    a, b = (
        root @ root.T / 4 + torch.eye(4, dtype=torch.float64),
        torch.randn(4, 3, generator=generator, dtype=torch.float64),
    )
    c, w = (torch.randn(3, generator=generator, dtype=torch.float64) for _ in range(2))
    w.requires_grad_(True)
    best = torch.linalg.solve(a, b @ w).detach()
    found = hypergradient(
        lambda d, weights: d.square().sum() / 2 + c @ weights[0],
        lambda d, weights: d @ a @ d / 2 - d @ (b @ weights[0]),
        best, [w], 400, 0.2,
    )  # fmt: skip
    torch.testing.assert_close(found[0], b.T @ torch.linalg.solve(a, best) + c)


def test_maps_are_pruned_in_order_while_the_network_is_good():
    given = network()
    means = mean_activations(given, "0", seen())
    torch.testing.assert_close(means, next(before(given.cut("0"), seen().images))[0].mean((0, 2, 3)))
    assert pruned_in_order(given, "0", [1, 2, 0], keeping(given, seen(), 0.1)) == [1, 2]
    assert pruned_in_order(given, "0", [0, 1, 2], keeping(given, seen(), 0.1)) == []


def test_replay_holds_the_map_that_bears_the_backdoor_alone():
    given = job()
    maps, worth = greedy_maps(given, "0", given.culprits[0], silent)
    assert maps == [1]
    assert worth.target <= 0.05
    found = done("replay-pruning")
    assert answer(found, NEAR, seen(), given.culprits[0].goal).success <= 0.05
    assert clean_share(found) == clean_share(network())


def test_neuron_pruning_silences_the_map_that_the_trigger_raises():
    found = done("neuron-pruning")
    rows = found.parameters["0.weight"].flatten(1).abs().sum(1)
    assert (rows == 0).tolist() == [False, True, False]


def test_the_classes_with_most_compromised_maps_are_the_most_affected():
    findings = [
        Finding("abs", target, 1.0, "0", tuple(range(maps))) for target, maps in ((3, 1), (5, 2), (3, 2), (7, 1))
    ]
    assert [each.target_class for each in most_affected(findings, 2)] == [3, 5, 3]


@pytest.mark.parametrize("name", ["reset", "fine-pruning", "nad", "i-bau", "clp", "rnp", "deepsweep"])
def test_every_repair_gives_a_network_and_leaves_the_one_it_was_given(name: str):
    before_it = network().fingerprint
    found = done(name)
    assert found.parameters.keys() == network().parameters.keys()
    assert all(bool(values.isfinite().all()) for values in found.parameters.values())
    assert network().fingerprint == before_it
    if name != "i-bau":
        assert clean_share(found) >= 0.5


def test_reset_trains_the_found_maps_alone():
    found, given = done("reset"), network()
    same = (found.parameters["0.weight"] == given.parameters["0.weight"]).flatten(1).all(1)
    assert same.tolist() == [True, False, True]
    torch.testing.assert_close(found.parameters["3.weight"], given.parameters["3.weight"])
    lone = RepairJob(seen(), culprits_of([Finding("by hand", 5, 9.0, trigger=NEAR)], 9))
    (rung,) = REPAIRS.named("reset").rungs(lone)
    with pytest.raises(DataError, match="no finding names feature maps"):
        rung.work(silent)


def test_running_variances_are_those_of_the_normalisations():
    parts = module(True)
    given = Network.from_module(parts, SIZE)
    torch.testing.assert_close(given.running_variances["1.weight"], parts[1].running_var)
    assert Network.from_module(module(False), SIZE).running_variances == {}
    assert suspect(given, torch.rand(6, 3, *SIZE)).network.running_variances.keys() == {"1.weight"}
