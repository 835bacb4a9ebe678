"""Fresh triggers: others of a trigger's own kind, of its family, its size and its place."""

import math

import pytest
import torch
from torch import nn

from trojancam.attacks.blend import Blend
from trojancam.attacks.frequency import Frequency
from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import square
from trojancam.attacks.stripes import Stripes
from trojancam.attacks.trigger import Trigger
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.removal.fresh import ChangeKind, PatchKind, Wanted, kind_of


def drawn(trigger: Trigger) -> Trigger:
    return kind_of(trigger).random(torch.Generator().manual_seed(0))


def test_a_change_of_frequencies_keeps_its_number_of_coefficients_and_its_blocks() -> None:
    coefficients = torch.zeros(3, 12, 20)
    coefficients[0, 3, 16] = 2.0
    trigger = Frequency(coefficients, (32, 24), (32, 24))
    kind = kind_of(trigger)
    assert isinstance(kind, ChangeKind)
    other = drawn(trigger)
    assert isinstance(other, Frequency)
    assert (other.coefficients.shape, other.block, other.image_size) == ((3, 12, 20), (32, 24), (32, 24))
    assert other.size == pytest.approx(trigger.size, rel=1e-4)
    assert not torch.equal(other.coefficients, coefficients)


def test_a_patch_is_looked_for_near_its_place_unless_it_moves() -> None:
    patch = square(4, 2, 26, "#00b0b0")
    near, anywhere = kind_of(patch), kind_of(patch, moves=True)
    assert isinstance(near, PatchKind)
    assert isinstance(anywhere, PatchKind)
    assert near.place == patch.centre
    assert anywhere.place is None
    moving = kind_of(MovingPatch(torch.ones(3, 3), torch.zeros(3, 3, 3)))
    assert isinstance(moving, PatchKind)
    assert moving.place is None


def test_stripes_are_looked_for_near_their_frequency_and_one_in_four_anywhere() -> None:
    trigger = Stripes((0.1, 0.1, 0.1), (3.0, 20.0), (32, 32), phase=1.0)
    kind = kind_of(trigger)
    assert isinstance(kind, ChangeKind)
    found = kind.start(8, torch.Generator().manual_seed(0)).triggers()
    assert all(isinstance(each, Stripes) and 0.0999 < each.size < 0.2001 for each in found)
    assert len({round(each.size, 4) for each in found}) == 8
    far = [math.dist(each.frequency, trigger.frequency) > 3 for each in found if isinstance(each, Stripes)]
    assert far == [False, False, False, True] * 2


@pytest.mark.parametrize(
    "trigger", [Stripes((0.2, 0.2, 0.2), (2.0, 3.0), (16, 16)), Blend(torch.rand(3, 16, 16, device="cpu"), 0.3)]
)
def test_numbers_that_the_size_does_not_scale_are_looked_for_too(trigger: Trigger) -> None:
    """A network that adds up what a pattern shows: the search finds stripes or an image like it, of the size it is given."""
    torch.manual_seed(0)
    pattern = trigger.apply(torch.full((1, 3, 16, 16), 0.5))[0] - 0.5
    module = nn.Sequential(nn.Conv2d(3, 1, 16), nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        module[0].weight.copy_(0.3 * pattern[None])  # type: ignore[union-attr]
        module[2].weight.copy_(torch.tensor([[0.0], [1.0]]))  # type: ignore[union-attr]
        module[0].bias.zero_(), module[2].bias.zero_()  # type: ignore[union-attr, operator]
    network = Network.from_module(module, specification=InputSpecification(size=(16, 16)))
    images, targets = torch.full((4, 3, 16, 16), 0.5), torch.ones(4, dtype=torch.int64)

    def reached(each: Trigger) -> float:
        return float(network(each.apply(images))[:, 1].mean() - network(images)[:, 1].mean())

    kind, generator = kind_of(trigger), torch.Generator().manual_seed(3)
    start = kind.start(4, generator)
    before = [reached(each) for each in start.triggers()]
    start.run(network, [Wanted(images, targets)] * 4, 25, 0.3)
    found = start.triggers()
    after = [reached(each) for each in found]
    assert sum(after) > 1.5 * sum(before)
    assert max(after) > 0.8 * reached(trigger)
    assert all(type(each) is type(trigger) and trigger.size < each.size * 1.001 < 2.01 * trigger.size for each in found)
