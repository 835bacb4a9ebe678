"""The steps that all repairs share, against PyTorch's own optimiser and images moved by hand."""

from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from tests.nets import build, images_for, network

from trojancam.errors import TrojanCamError
from trojancam.removal.learner import CLIP, MOMENTUM, Descent, Learner, batches, check_finite, varied, varied_widely


def test_a_learner_is_a_copy_and_what_is_learned_is_another() -> None:
    _, net = network("plain")
    images = images_for(net, 3)
    before = net(images)
    learner = Learner(net, ["linear.bias"])
    torch.testing.assert_close(learner.logits(images).detach(), before)
    with torch.no_grad():
        learner.weights[0].add_(1.0)
    learned = learner.learned()
    with torch.no_grad():
        learner.weights[0].add_(1.0)
    assert torch.equal(net(images), before)
    torch.testing.assert_close(learned(images), before + 1)
    torch.testing.assert_close(learner.logits(images).detach(), before + 2)


def test_a_descent_is_that_of_pytorch_with_momentum_clipping_and_a_rate_that_falls() -> None:
    module, net = build("plain").eval(), network("plain")[1]
    images, labels, steps, rate = images_for(net, 6), torch.arange(6) % 4, 4, 0.5
    learner = Learner(net)
    descent = Descent(learner, rate, steps, decay=0.01)
    sgd = torch.optim.SGD(module.parameters(), rate, MOMENTUM, weight_decay=0.01)
    for done in range(steps):
        descent.step(100 * F.cross_entropy(learner.logits(images), labels))
        sgd.param_groups[0]["lr"] = rate * (steps - done) / steps
        sgd.zero_grad()
        (100 * F.cross_entropy(module(net.input.normalise(images).contiguous()), labels)).backward()
        length = torch.cat([each.grad.flatten() for each in module.parameters()]).norm()  # type: ignore[union-attr]
        for each in module.parameters():
            assert each.grad is not None
            each.grad *= min(1.0, CLIP / float(length))
        sgd.step()
        assert done or length > CLIP  # else nothing is said of clipping
    for name, value in module.named_parameters():
        torch.testing.assert_close(learner.learned().parameters[name], value, rtol=1e-3, atol=1e-4)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    check_finite(torch.tensor(3.0))
    for loss in (float("nan"), float("inf")):
        with pytest.raises(TrojanCamError, match="no longer finite; this network cannot be repaired by this method"):
            check_finite(torch.tensor(loss))


def test_batches_go_through_all_numbers_before_any_comes_again() -> None:
    drawn = torch.cat(list(islice(batches(7, 3, torch.Generator().manual_seed(0)), 7)))
    assert len(drawn) == 21
    for part in drawn.split(7):
        assert sorted(part.tolist()) == list(range(7))
    assert drawn[:7].tolist() != drawn[7:14].tolist()


def test_images_are_moved_by_a_few_pixels_and_their_edge_is_repeated() -> None:
    images = torch.rand(40, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    moved = varied(images, torch.Generator().manual_seed(1), shift=2, light=0.0)
    rows, columns, shifts = torch.arange(6), torch.arange(8), set()
    for image, found in zip(images, moved, strict=True):
        matching = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.allclose(found, image[:, (rows + down).clamp(0, 5)][:, :, (columns + right).clamp(0, 7)])
        ]
        assert len(matching) == 1
        shifts.update(matching)
    assert len(shifts) > 15


def test_contrast_and_brightness_change_by_their_share_at_most() -> None:
    images = 0.4 + 0.1 * torch.rand(60, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    lit = varied(images, torch.Generator().manual_seed(1), shift=0, light=0.25)
    for of in (lambda each: each.mean((1, 2, 3)), lambda each: each.std((1, 2, 3))):
        change = of(lit) / of(images)
        assert 0.75 <= float(change.min()) < 0.85
        assert 1.15 < float(change.max()) <= 1.25
    torch.testing.assert_close(varied(images, torch.Generator(), shift=0, light=0.0), images)


def test_wide_variation_turns_scales_and_tints_each_image_by_itself() -> None:
    images = torch.full((60, 3, 24, 24), 0.4)
    images[:, :, :, 12:] = 0.6  # an edge in the middle, which turns and moves
    found = varied_widely(images, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    edges = (found[:, 0].diff(dim=2).abs().argmax(2)).float()  # the column of the edge in each row
    lean = (edges[:, 20] - edges[:, 3]) / 17
    assert 3 < float(lean.abs().max().atan().rad2deg()) < 23  # 15 degrees, and scaled
    shares = found.mean((2, 3))
    assert float((shares[:, 0] / shares[:, 1]).max()) > 1.2  # colours change by themselves
    torch.testing.assert_close(varied_widely(images, torch.Generator().manual_seed(0)), found)


def test_a_turn_is_one_in_images_that_are_not_square_too() -> None:
    images = torch.full((40, 3, 48, 16), 0.4)
    images[:, :, 24:] = 0.6  # an edge across the middle
    found = varied_widely(images, torch.Generator().manual_seed(1))
    edges = found[:, 0].diff(dim=1).abs().argmax(1).float()  # the row of the edge in each column
    lean = (edges[:, 13] - edges[:, 2]) / 11
    assert float(lean.abs().max().atan().rad2deg()) < 27  # 15 degrees, scaled, and rounded to whole rows
