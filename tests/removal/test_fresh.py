"""Fresh triggers: others of a trigger's own kind, of its family, its size and its place."""

import pytest
import torch

from trojancam.attacks.blend import Blend
from trojancam.attacks.frequency import Frequency
from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import square
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError
from trojancam.removal.fresh import ChangeKind, PatchKind, kind_of


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


def test_a_family_with_numbers_that_size_does_not_scale_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be looked for by their size"):
        kind_of(Blend(torch.rand(3, 8, 8), 0.2))
