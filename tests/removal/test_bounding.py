"""Bounded activations: bounds are lowered by the loss that is stated, the planted backdoor goes, and no weight moves."""

import pytest
import torch
from tests.removal.trojaned import clean_share, finding, network, seen, true_success
from torch import nn

from trojancam.errors import ModelError
from trojancam.network.network import Network
from trojancam.progress import silent
from trojancam.removal import bounding
from trojancam.removal.contract import RepairJob
from trojancam.removal.goal import Culprit
from trojancam.removal.learner import Learner
from trojancam.removal.ledger import bounded_layers, changes
from trojancam.removal.repairing import remove

SIZE = (8, 8)


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)
    ).eval()  # fmt: skip


def test_bounds_begin_at_the_largest_clean_activations() -> None:
    parts, clean = two_layers(), torch.rand(7, 3, *SIZE)
    tested = Network.from_module(parts, SIZE)
    found = bounding.largest(tested, bounding.Suspect(tested, clean, torch.zeros(7, dtype=torch.int64)))
    assert list(found) == ["0", "2"]
    for layer, depth in (("0", 2), ("2", 4)):
        torch.testing.assert_close(found[layer], parts[:depth](clean).amax((0, 2, 3)).detach())


def test_a_step_goes_down_the_gradient_of_the_loss_by_the_shares() -> None:
    """Against autograd in 64 bits through the shares themselves; Adam's first step is its rate times the sign."""
    parts, images = two_layers(), torch.rand(6, 3, *SIZE)
    tested = Network.from_module(parts, SIZE)
    tops = {"0": torch.full((4,), 0.3), "2": torch.full((5,), 0.2)}
    names = tested.bounded(tops).bound_names
    learner = Learner(tested.bounded(tops), names.values())
    wanted, named = tested(images), {names[layer]: values for layer, values in tops.items()}
    shares = {name: torch.full_like(values, 0.7).requires_grad_() for name, values in named.items()}
    with torch.no_grad():
        for name, share in shares.items():
            learner.network.parameters[name].copy_((share * named[name])[:, None, None])
    with torch.enable_grad():
        away = (learner.logits(images) - wanted).square().mean() / wanted.var()
    adam = torch.optim.Adam(shares.values(), 0.0)
    bounding._step(learner, shares, named, adam, away, 0.4)

    exact = {name: share.detach().double().requires_grad_() for name, share in shares.items()}
    first, second = (exact[names[layer]] * tops[layer].double() for layer in tops)
    deep = two_layers().double()
    hidden = torch.minimum(deep[:2](images.double()), first[:, None, None])
    logits = deep[4:](torch.minimum(deep[2:4](hidden), second[:, None, None]))
    loss = (logits - wanted.double()).square().mean() / wanted.double().var()
    loss = loss + 0.4 * sum(share.square().mean().sqrt() for share in exact.values()) / 2
    loss.backward()
    for name, share in shares.items():
        assert share.grad is not None
        torch.testing.assert_close(share.grad.double(), exact[name].grad, rtol=1e-4, atol=1e-6)


def test_the_planted_backdoor_goes_and_no_weight_moves() -> None:
    given = network()
    assert true_success(given) == 1.0
    outcome = remove(given, seen().images, seen().labels, [finding()], "mm-bm")
    assert outcome.best is not None
    found = outcome.best.network
    assert true_success(found) < 0.05
    assert clean_share(found) > 0.95
    assert all(change.change == 0 for change in changes(given, found))
    (layer,) = bounded_layers(given, found, seen())
    assert (layer.layer, layer.feature_maps) == ("0", 3)
    assert 0 < layer.share < 1
    assert bounded_layers(given, given, seen()) == ()


def test_infinite_bounds_bring_the_network_back() -> None:
    job = RepairJob(seen(), (Culprit.of(finding(), 9),))
    rung = next(bounding.rungs(job))
    found = rung.work(silent)
    images = seen().images
    assert not torch.equal(found(images), network()(images))
    back = found.with_parameters({found.bound_names["0"]: torch.full((3, 1, 1), torch.inf)})
    torch.testing.assert_close(back(images), network()(images))


def test_a_network_without_convolutions_is_refused() -> None:
    dense = Network.from_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), SIZE)
    clean = bounding.Suspect(dense, torch.rand(6, 3, *SIZE), torch.arange(6) % 3)
    with pytest.raises(
        ModelError, match="no convolution is left whose activations could be bounded; choose another repair"
    ):
        next(bounding.rungs(RepairJob(clean, ())))
