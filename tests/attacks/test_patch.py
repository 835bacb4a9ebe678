"""Patches: where a stamp lands, and what it does to each pixel."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.nets import unchecked

from trojancam.attacks.patch import PLACES, PRESETS, Patch, corner, make_trigger, square
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError, TrojanCamError, UnknownNameError


def box(trigger: Patch) -> list[int]:
    """First row, first column, last row, last column of what it covers."""
    rows, columns = trigger.place.nonzero().T
    return [int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())]


def equal(one: Patch, other: Patch) -> bool:
    parts = one.mask.equal(other.mask), one.pattern.equal(other.pattern)
    return all(parts) and (one.opacity, one.name) == (other.opacity, other.name)


def random_images(count: int, size: tuple[int, int] = (32, 32), seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


# --- the stamp ---


def test_stamp_by_hand() -> None:
    mask = torch.tensor([[1.0, 0.5, 0.0]])
    pattern = torch.tensor([[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]], [[0.5, 0.5, 0.5]]])
    image = torch.tensor([[[[0.0, 0.2, 0.7]], [[0.0, 0.2, 0.7]], [[0.0, 0.2, 0.7]]]])
    stamped = Patch(mask, pattern, opacity=0.4).apply(image)
    # 0.6 x + 0.4 p;  0.8 x + 0.2 p;  x
    expected = torch.tensor([[[[0.4, 0.36, 0.7]], [[0.0, 0.16, 0.7]], [[0.2, 0.26, 0.7]]]])
    torch.testing.assert_close(stamped, expected)


@given(st.floats(0.01, 1), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_stamp_equals_its_formula_in_double_precision(opacity: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask, pattern = torch.rand(5, 6, generator=generator), torch.rand(3, 5, 6, generator=generator)
    images = torch.rand(2, 3, 5, 6, generator=generator)
    x, m, p = images.double(), mask.double(), pattern.double()
    expected = (1 - opacity * m) * x + opacity * m * p
    stamped = Patch(mask, pattern, opacity).apply(images)
    torch.testing.assert_close(stamped.double(), expected, rtol=1e-5, atol=1e-6)
    assert 0 <= stamped.min() <= stamped.max() <= 1 + 1e-6


def test_a_clear_square_replaces_its_pixels_and_no_other() -> None:
    images = random_images(3)
    stamped = make_trigger("yellow-square").apply_bytes(images)
    changed = (stamped != images).any(0).any(0)
    assert not changed[~make_trigger("yellow-square").place].any()
    assert stamped[:, :, 2:6, 2:6].flatten(2).transpose(1, 2).unique(dim=1).tolist() == [[[255, 255, 0]]] * 3


def test_stamping_bytes_rounds_to_the_nearest() -> None:
    images = torch.full((1, 3, 1, 1), 100, dtype=torch.uint8)
    stamped = square(1, 0, 0, "#00b4b4", 0.4, image_size=(1, 1)).apply_bytes(images)
    assert stamped.flatten().tolist() == [60, 132, 132]  # 0.6 * 100 + 0.4 * (0, 180, 180)
    assert square(1, 0, 0, "#010101", 0.5, (1, 1)).apply_bytes(images * 0).flatten().tolist() == [0, 0, 0]
    assert square(1, 0, 0, "#030303", 0.5, (1, 1)).apply_bytes(images * 0).flatten().tolist() == [2, 2, 2]


def test_a_transparent_trigger_of_the_images_own_colour_changes_nothing() -> None:
    images = torch.full((1, 3, 32, 32), 90, dtype=torch.uint8)
    assert square(4, 0, 0, "#5a5a5a", 0.7).apply_bytes(images).equal(images)


def test_stamping_leaves_the_images_it_was_given() -> None:
    images = torch.rand(2, 3, 32, 32)
    before = images.clone()
    make_trigger("blue-green-square").apply(images)
    assert images.equal(before)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match=r"images of \(32, 32\) pixels, but these are \(32, 48\)"):
        square(4, 0, 0).apply(torch.zeros(1, 3, 32, 48))


# --- presets, places and sizes ---


@pytest.mark.parametrize(
    ("name", "place", "opacity", "colour"),
    [("yellow-square", [2, 2, 5, 5], 1.0, (255, 255, 0)), ("blue-green-square", [2, 26, 5, 29], 0.4, (0, 180, 180))],
)
def test_presets_are_the_studys(name: str, place: list[int], opacity: float, colour: tuple[int, ...]) -> None:
    trigger = make_trigger(name)
    assert set(PRESETS) == {"yellow-square", "blue-green-square"}
    assert (trigger.name, trigger.image_size, box(trigger), trigger.opacity) == (name, (32, 32), place, opacity)
    assert int(trigger.place.sum()) == 16
    assert trigger.coverage == 16 / 1024
    assert (trigger.pattern[:, 3, 27] * 255).round().int().tolist() == list(colour)
    assert trigger.mask.unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("place", "upper_left"),
    [
        ("top-left", (2, 2)), ("top", (2, 14)), ("top-right", (2, 26)),
        ("left", (14, 2)), ("centre", (14, 14)), ("right", (14, 26)),
        ("bottom-left", (26, 2)), ("bottom", (26, 14)), ("bottom-right", (26, 26)),
    ],
)  # fmt: skip
def test_named_places(place: str, upper_left: tuple[int, int]) -> None:
    assert corner(place, 4, (32, 32)) == upper_left
    row, column = upper_left
    assert box(make_trigger("yellow-square", place=place)) == [row, column, row + 3, column + 3]


@given(st.sampled_from(sorted(PLACES)), st.integers(1, 64), st.integers(1, 64), st.data())
def test_a_square_at_any_named_place_lies_inside_the_image(
    place: str, height: int, width: int, data: st.DataObject
) -> None:
    side = data.draw(st.integers(1, min(height, width)))
    row, column = corner(place, side, (height, width))
    trigger = square(side, row, column, image_size=(height, width))
    assert int(trigger.place.sum()) == side * side
    assert box(trigger) == [row, column, row + side - 1, column + side - 1]


@given(st.integers(1, 40), st.integers(1, 40))
def test_opposite_places_mirror_each_other(height: int, width: int) -> None:
    side = max(1, min(height, width) // 3)
    row, column = corner("top-left", side, (height, width))
    assert corner("bottom-right", side, (height, width)) == (height - side - row, width - side - column)


@pytest.mark.parametrize("image_size", [(3, 3), (8, 8), (48, 64), (224, 224)])
def test_presets_fit_images_of_any_size(image_size: tuple[int, int]) -> None:
    trigger = make_trigger("yellow-square", image_size)
    side = max(1, round(min(image_size) / 8))
    assert trigger.image_size == image_size
    assert int(trigger.place.sum()) == side * side


def test_a_preset_can_be_changed_in_every_way() -> None:
    trigger = make_trigger("blue-green-square", (40, 50), side=3, place=(0, 7), colour="red", opacity=0.25)
    assert (box(trigger), trigger.opacity, trigger.image_size) == ([0, 7, 2, 9], 0.25, (40, 50))
    assert trigger.pattern[:, 1, 8].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("make", "kind", "sentence"),
    [
        (lambda: make_trigger("yelow-square"), UnknownNameError, "did you mean 'yellow-square'.*path of an image file"),
        (lambda: make_trigger("yellow-square", place="top-middle"), UnknownNameError, "unknown place 'top-middle'"),
        (lambda: make_trigger("yellow-square", side=33), DataError, "33 pixels does not fit into an image of 32x32"),
        (lambda: make_trigger("yellow-square", side=0), DataError, "0 pixels does not fit"),
        (lambda: make_trigger("yellow-square", place=(29, 0)), DataError, "4 pixels at row 29, column 0 does not fit"),
        (lambda: make_trigger("yellow-square", opacity=0), DataError, r"opacity must lie in \(0, 1\], not 0"),
        (lambda: make_trigger("yellow-square", opacity=1.5), DataError, r"opacity must lie in \(0, 1\], not 1.5"),
        (lambda: square(1, -1, 0), DataError, "row -1, column 0 does not fit"),
        (lambda: square(1, 0, 0, "yelow"), DataError, "unknown colour 'yelow'; use a name such as 'yellow'"),
        (lambda: Patch(torch.zeros(2, 2), torch.zeros(3, 2, 3)), DataError, r"mask \(2, 2\) and pattern \(3, 2, 3\)"),
        (lambda: Patch(torch.full((2, 2), 2.0), torch.zeros(3, 2, 2)), DataError, "mask must .* from 2 to 2"),
        (lambda: Patch(torch.ones(2, 2), torch.full((3, 2, 2), -1.0)), DataError, "pattern must .* from -1 to -1"),
        (lambda: Patch(torch.ones(2, 2), torch.full((3, 2, 2), torch.nan)), DataError, "pattern must .*nan"),
        (lambda: Patch(torch.ones(2, 2), torch.ones(3, 2, 2), torch.nan), DataError, "opacity must .*nan"),
    ],
)
def test_what_is_no_trigger_is_refused(make: Callable[[], Patch], kind: type[TrojanCamError], sentence: str) -> None:
    with unchecked(), pytest.raises(kind, match=sentence):
        make()


# --- picture files ---


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two by two pixels: red, half-transparent green; blue, and nothing."""
    image = Image.new("RGBA", (2, 2))
    for place, colour in {(0, 0): (255, 0, 0, 255), (1, 0): (0, 255, 0, 128), (0, 1): (0, 0, 255, 255)}.items():
        image.putpixel(place, colour)
    path = tmp_path / "sticker.png"
    image.save(path)
    return path


def test_a_picture_becomes_pattern_and_its_transparency_the_mask(picture: Path) -> None:
    trigger = make_trigger(str(picture), image_size=(6, 8), side=2, place=(1, 5), opacity=0.5)
    assert (trigger.name, trigger.image_size, trigger.opacity) == ("sticker", (6, 8), 0.5)
    torch.testing.assert_close(trigger.mask[1:3, 5:7], torch.tensor([[1, 128 / 255], [1, 0]]))
    assert trigger.mask.count_nonzero() == 3
    assert trigger.pattern[:, 1, 5].tolist() == [1, 0, 0]
    assert trigger.pattern[:, 1, 6].tolist() == [0, 1, 0]
    assert trigger.pattern[:, 2, 5].tolist() == [0, 0, 1]
    stamped = trigger.apply(torch.ones(1, 3, 6, 8))
    torch.testing.assert_close(stamped[0, :, 1, 6], torch.tensor([1 - 64 / 255, 1, 1 - 64 / 255]))
    assert stamped[0, :, 2, 6].tolist() == [1, 1, 1]


def test_a_picture_without_transparency_covers_its_square(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), (10, 20, 30)).save(tmp_path / "patch.png")
    trigger = make_trigger(str(tmp_path / "patch.png"), side=5, place="bottom-right")
    assert box(trigger) == [25, 25, 29, 29]
    assert (trigger.pattern[:, 27, 27] * 255).round().tolist() == [10, 20, 30]
    assert trigger.opacity == 1


def test_a_picture_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4)).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match="fully transparent"):
        make_trigger(str(tmp_path / "clear.png"))
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(DataError, match="note.png"):
        make_trigger(str(tmp_path / "note.png"))


# --- moving, and the form for JSON ---


def test_moving_wraps_around_and_back() -> None:
    trigger = make_trigger("yellow-square")
    assert box(trigger.moved(3, 20)) == [5, 22, 8, 25]
    assert equal(trigger.moved(3, 20).moved(-3, -20), trigger)
    assert trigger.moved(-4, 0).place.nonzero()[:, 0].unique().tolist() == [0, 1, 30, 31]
    assert equal(trigger.moved(32, -32), trigger)


@given(st.integers(0, 2**31), st.floats(0.01, 1), st.text(max_size=20))
@settings(deadline=None, max_examples=25)
def test_the_round_trip_through_json_is_exact_for_pixels_of_8_bits(seed: int, opacity: float, name: str) -> None:
    pixels = random_images(2, (7, 5), seed)
    trigger = Patch(pixels[0, 0].float() / 255, pixels[1].float() / 255, opacity, name)
    assert equal(Patch.from_json(json.loads(json.dumps(trigger.to_json()))), trigger)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_round_trip_of_presets_is_exact(name: str) -> None:
    assert equal(Patch.from_json(make_trigger(name).to_json()), make_trigger(name))


def test_other_pixels_come_back_to_the_nearest_of_8_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    trigger = Patch(torch.rand(6, 6, generator=generator), torch.rand(3, 6, 6, generator=generator))
    back = Patch.from_json(trigger.to_json())
    torch.testing.assert_close(back.mask, trigger.mask, rtol=0, atol=0.5 / 255 + 1e-6)
    torch.testing.assert_close(back.pattern, trigger.pattern, rtol=0, atol=0.5 / 255 + 1e-6)


GOOD = make_trigger("yellow-square").to_json()


def png(size: tuple[int, int]) -> str:
    stream = io.BytesIO()
    Image.new("1", size).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    "record",
    [
        {},
        {key: value for key, value in GOOD.items() if key != "opacity"},
        GOOD | {"png": "not base 64!"},
        GOOD | {"png": base64.b64encode(b"no picture").decode()},
        GOOD | {"png": None},
        GOOD | {"png": GOOD["png"][:60]},
        GOOD | {"png": GOOD["png"][:-40]},
        GOOD | {"opacity": "clear"},
        GOOD | {"opacity": 2.0},
        GOOD | {"opacity": "nan"},
        GOOD | {"png": png((20_000, 20_000))},
    ],
    ids=[
        "empty",
        "no opacity",
        "no base 64",
        "no picture",
        "none",
        "header only",
        "cut short",
        "words",
        "2",
        "nan",
        "bomb",
    ],
)
def test_what_is_no_record_of_a_trigger_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(DataError, match="trigger") as caught:
        Trigger.from_json(record)
    assert "\n" not in str(caught.value)


def test_a_bit_that_flipped_in_a_record_gives_a_trigger_or_an_error_for_people() -> None:
    content = base64.b64decode(GOOD["png"])
    refusals = []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        try:
            Trigger.from_json(GOOD | {"png": base64.b64encode(damaged).decode()})
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > len(content) / 2
    assert all("is not the record of a trigger" in sentence for sentence in refusals)
