"""A stamp is varied as it says, and without any variation it is the trigger."""

import torch

from trojancam.attacks.patch import Patch, square
from trojancam.attacks.warp import WarpFamily
from trojancam.removal.stamping import NONE, Jitter, relatives, stamped

SIZE = (8, 8)
DOT = square(2, 3, 3, "white", image_size=SIZE)
DARK = torch.zeros(200, 3, *SIZE)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_jitter_it_is_the_trigger_whatever_its_family():
    images = torch.rand(4, 3, *SIZE, generator=drawn())
    family = WarpFamily(SIZE)
    warp = family.member(family.random(1, 0.5, drawn()))
    for trigger in (DOT, warp):
        torch.testing.assert_close(stamped(trigger, images, NONE, drawn()), trigger.apply(images))


def test_it_moves_by_at_most_so_many_pixels_in_every_direction():
    found = stamped(DOT, DARK, Jitter(shift=2, faintest=1.0, colour=0.0, noise=0.0), drawn())
    corners = {tuple((image[0] > 0).nonzero()[0].tolist()) for image in found}
    assert corners == {(row, column) for row in range(1, 6) for column in range(1, 6)}


def test_it_is_shown_with_at_least_a_share_of_its_strength():
    strengths = stamped(DOT, DARK, Jitter(shift=0, faintest=0.4, colour=0.0, noise=0.0), drawn())[:, 0, 3, 3]
    assert 0.4 <= float(strengths.min()) < 0.45
    assert 0.95 < float(strengths.max()) <= 1


def test_a_faint_one_is_shown_stronger_too():
    strengths = stamped(DOT, DARK, Jitter(shift=0, faintest=0.2, colour=0.0, noise=0.0, strongest=0.5), drawn())[
        :, 0, 3, 3
    ]
    assert 0.2 <= float(strengths.min()) < 0.25
    assert 0.45 < float(strengths.max()) <= 0.5


def test_noise_is_where_the_trigger_changes_something_and_nowhere_else():
    found = stamped(DOT, DARK, Jitter(shift=0, faintest=0.5, colour=0.2, noise=0.1), drawn())
    assert float(found[:, :, 3:5, 3:5].std(0).min()) > 0.05
    found[:, :, 3:5, 3:5] = 0
    assert float(found.abs().max()) == 0


def test_relatives_of_a_blurred_patch_are_sharp_clear_and_a_pixel_beside():
    mask = torch.zeros(SIZE)
    mask[3:5, 3:5], mask[2, 3] = 0.8, 0.3  # the last one is covered by less than a half
    blurred = Patch(mask, torch.full((3, *SIZE), 0.7))
    found = list(relatives(blurred))
    assert found[0] is blurred
    for each in found[1:]:
        assert isinstance(each, Patch)
        assert each.mask.unique().tolist() == [0, 1]
        assert int(each.mask.sum()) == 4
    corners = [tuple(each.mask.nonzero()[0].tolist()) for each in found[1:6]]
    assert corners == [(3, 3), (2, 3), (4, 3), (3, 2), (3, 4)]
    assert [float(each.pattern[0, 3, 3]) for each in found[1::5]] == [torch.tensor(0.7), 1.0]
    family = WarpFamily(SIZE)
    assert len(list(relatives(family.member(family.random(1, 0.5, drawn()))))) == 1
