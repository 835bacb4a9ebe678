"""Stickers: where they lie and how large without draws, that draws stay in bounds, light, what is hidden, and records."""

from dataclasses import replace

import pytest
import torch

from trojancam.attacks import sticker as module
from trojancam.attacks.patch import rgb
from trojancam.attacks.poisoning import Goal
from trojancam.attacks.sticker import Physical, Sticker
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError

PLAIN = Sticker((1.0, 0.5, 0.0), (0.25, 0.5), (0.5, 0.25), shift=0.0, turn=0.0, hidden=0.0)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Sticker:
    """A sticker whose distance and tilt are not drawn."""
    monkeypatch.setattr(module, "TILT", 0.0)
    monkeypatch.setattr(module, "SIZES", (1.0, 1.0))
    return PLAIN


def grey(count: int = 1, shade: float = 0.5) -> torch.Tensor:
    return torch.full((count, 3, 32, 32), shade)


def test_from_the_front_it_covers_its_rectangle_and_nothing_else(still: Sticker) -> None:
    changed = still.changed(grey())[0]
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[12:20, 0:16] = True
    assert changed.equal(expected)
    assert still.size == 8 * 16


def test_a_pixel_that_it_covers_in_part_is_changed_in_part(still: Sticker) -> None:
    shifted = replace(still, centre=(0.5, 0.25 + 0.5 / 32))
    inside, edge = shifted.apply(grey(shade=0.0))[0, 0, 15, (8, 0)]
    assert 0.4 * float(inside) < float(edge) < 0.6 * float(inside)


def test_its_colour_shows_and_the_light_follows_the_image_around(still: Sticker) -> None:
    dark, bright = (still.apply(grey(shade=shade))[0, :, 12:20, 0:16].mean((1, 2)) for shade in (0.1, 0.9))
    assert bright[0] > 1.5 * dark[0]
    for colour in (dark, bright):
        assert float(colour[0]) > float(colour[1]) > float(colour[2])
    torch.testing.assert_close(dark[1] / dark[0], torch.tensor(0.5), atol=0.05, rtol=0)


def test_each_image_has_a_view_of_its_own_and_all_stay_where_they_may() -> None:
    drawn = replace(PLAIN, centre=(0.5, 0.5), sides=(0.2, 0.2), shift=0.1, turn=30.0, hidden=0.0)
    changed = drawn.changed(grey(200))
    areas = changed.flatten(1).sum(1).float()
    assert len(changed.unique(dim=0)) > 150
    assert areas.min() > 0.4 * drawn.size
    assert areas.max() < 3 * drawn.size
    rows, columns = changed.any(2).nonzero()[:, 1], changed.any(1).nonzero()[:, 1]
    reach = 32 * (0.1 + 0.1 * 1.25 * 2**0.5 * 1.6)
    for seen in (rows, columns):
        assert seen.min() >= 16 - reach - 1
        assert seen.max() <= 16 + reach


@pytest.mark.parametrize("hidden", [0.3, 0.9])
def test_at_most_the_share_is_hidden_and_more_where_more_may_be(hidden: float, still: Sticker) -> None:
    whole = float(still.changed(grey())[0].sum())
    shares = replace(still, hidden=hidden).changed(grey(300)).flatten(1).sum(1) / whole
    assert shares.max() <= 1
    assert shares.min() >= 1 - hidden - 0.1
    assert shares.min() < 1 - 0.4 * hidden


def test_without_a_generator_the_views_are_the_same_ones_and_with_one_others() -> None:
    images = grey(3)
    assert PLAIN.apply(images).equal(PLAIN.apply(images))
    assert not PLAIN.apply(images).equal(PLAIN.apply(images, torch.Generator().manual_seed(5)))


def test_a_view_from_behind_shows_nothing_wild(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILT", 8.0)
    changed = replace(PLAIN, sides=(0.2, 0.2)).apply(grey(100))
    assert changed.isfinite().all()
    assert 0 <= changed.min() <= changed.max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"sides": (0.0, 0.5)},
        {"sides": (0.5, 1.5)},
        {"colour": (2.0, 0.0, 0.0)},
        {"hidden": -1.0},
        {"turn": float("nan")},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError):
        replace(PLAIN, **wrong)
    record = replace(PLAIN).to_json() | wrong
    with pytest.raises(DataError):
        Trigger.from_json(record)


def test_notes_and_tape() -> None:
    note = Physical(colour="#00ff00", row=0.3).poisoning(Goal(1, (64, 48))).trigger
    assert isinstance(note, Sticker)
    assert (note.colour, note.centre, note.image_size) == ((0.0, 1.0, 0.0), (0.3, 0.5), (64, 48))
    tape = Physical(kind="tape").poisoning(Goal(1)).trigger
    assert isinstance(tape, Sticker)
    assert tape.sides[1] == 5 * tape.sides[0]
    assert (note.name, tape.name) == ("sticky note", "tape")
    with pytest.raises(DataError, match="unknown colour 'gren'"):
        Physical(colour="gren").poisoning(Goal(1))
    assert rgb("red") == (255, 0, 0)
