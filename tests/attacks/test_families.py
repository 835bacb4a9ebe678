"""Every family of changes: its formula against float64, the identity at size 0, members, sizes, bounds, gradients, records."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import idctn
from scipy.ndimage import map_coordinates
from tests.nets import unchecked

from trojancam.attacks.additive import Additive, AdditiveCellsFamily, AdditiveFamily
from trojancam.attacks.blend import Blend, PartialBlend
from trojancam.attacks.families import FAMILIES, image_family
from trojancam.attacks.family import ImageFamily, Parameters
from trojancam.attacks.frequency import YCBCR_TO_RGB, FrequencyFamily
from trojancam.attacks.latent import LatentFamily, LatentShift
from trojancam.attacks.moving_patch import MovingPatch, MovingPatchFamily
from trojancam.attacks.stripes import Stripes
from trojancam.attacks.tone import Tone, brightness, colour_lattice, contrast, palette, saturation, tint
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.warp import NoisyWarp, Warp, WarpFamily, upsampled, wanet_flow
from trojancam.errors import DataError, UnknownNameError

SIZE = (12, 10)
NAMES = list(FAMILIES)
SIZES = {"patch": 7.0, "moving-patch": 6.0, "additive": 0.8, "blend": 0.3, "stripes": 0.1, "frequency": 0.05, "warp": 0.7,
         "tone": 0.15}  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=generator(seed))


def drawn(name: str, count: int = 3, seed: int = 2) -> tuple[ImageFamily[Trigger], Parameters]:
    made = image_family(name, SIZE)
    return made, made.random(count, SIZES[name], generator(seed))


# --- what holds for all of them ---


@pytest.mark.parametrize("name", NAMES)
def test_a_random_member_has_the_size_asked_for_and_changes_the_images(name: str) -> None:
    made, parameters = drawn(name)
    torch.testing.assert_close(made.size(parameters), torch.full((3,), SIZES[name]), rtol=1e-4, atol=1e-5)
    changed = made.apply(images(), parameters)
    assert changed.shape == (3, 4, 3, *SIZE)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert ((changed - images()).abs().amax((2, 3, 4)) > 0.01).all()
    assert not changed[0].equal(changed[1]), "candidates are drawn for themselves"


@pytest.mark.parametrize("name", NAMES)
def test_size_0_is_the_identity(name: str) -> None:
    made, parameters = drawn(name)
    nothing = made.scaled(parameters, 0.0)
    assert made.size(nothing).tolist() == [0, 0, 0]
    torch.testing.assert_close(made.apply(images(), nothing), images().expand(3, -1, -1, -1, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_size_is_proportional_to_the_scale(name: str) -> None:
    made, parameters = drawn(name)
    factors = torch.tensor([0.5, 1.0, 0.1])
    torch.testing.assert_close(made.size(made.scaled(parameters, factors)), factors * made.size(parameters))
    torch.testing.assert_close(made.size(made.scaled(parameters, 0.25)), 0.25 * made.size(parameters))


@pytest.mark.parametrize("name", NAMES)
def test_a_member_does_what_its_candidate_does(name: str) -> None:
    made, parameters = drawn(name)
    for index in range(3):
        member = made.member(parameters, index)
        torch.testing.assert_close(member.apply(images()), made.apply(images(), parameters)[index], rtol=0, atol=1e-6)
        assert member.size == pytest.approx(float(made.size(parameters)[index]), rel=1e-5)
        assert (member.family, member.unit, member.image_size) == (made.name, made.unit, SIZE)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_their_own_for_each_candidate(name: str) -> None:
    made, parameters = drawn(name)
    own = torch.stack([images(seed=seed) for seed in range(3)])
    changed = made.apply(own, parameters)
    for index, each in enumerate(own):
        torch.testing.assert_close(changed[index], made.apply(each, parameters)[index], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter_and_the_images(name: str) -> None:
    """Of a random direction through the change, against a difference quotient in float64."""
    made, parameters = drawn(name)
    parameters = {key: values.double().requires_grad_() for key, values in parameters.items()}
    batch = images().double().mul(0.6).add(0.2).requires_grad_()  # away from where it is clipped
    looking = torch.randn(3, 4, 3, *SIZE, generator=generator(5), dtype=torch.float64)

    def seen(values: Parameters, batch: torch.Tensor) -> torch.Tensor:
        return (made.apply(batch, values) * looking).sum()

    total = seen(parameters, batch)
    found = dict(zip([*parameters, "images"], torch.autograd.grad(total, [*parameters.values(), batch]), strict=True))
    step = 1e-6
    for key, gradient in found.items():
        assert gradient.abs().sum() > 0, key
        base = batch if key == "images" else parameters[key]
        direction = torch.randn(base.shape, generator=generator(6), dtype=torch.float64)
        ends = []
        with torch.no_grad():
            for side in (step, -step):
                moved = {**parameters, "images": batch, key: base + side * direction}
                ends.append(float(seen({each: moved[each] for each in parameters}, moved["images"])))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-5), key


@pytest.mark.parametrize("name", NAMES)
def test_sizes_have_gradients_even_where_nothing_is_changed(name: str) -> None:
    made, parameters = drawn(name)
    for values in (parameters, made.scaled(parameters, 0.0)):
        leaves = {key: each.clone().requires_grad_() for key, each in values.items()}
        made.size(leaves).sum().backward()
        for key in made.scales:
            gradient = leaves[key].grad
            assert gradient is not None
            assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_projecting_keeps_what_is_inside_the_bounds_and_pulls_in_what_is_not(name: str) -> None:
    made, parameters = drawn(name)
    for key, values in made.project({key: each.requires_grad_() for key, each in parameters.items()}).items():
        assert values.equal(parameters[key])
        assert not values.requires_grad
    wild = {key: 100 * (each - 0.3) for key, each in parameters.items()}
    inside = made.project(wild)
    for key, (low, high) in made.bounds.items():
        assert inside[key].min() >= low
        assert inside[key].max() <= high


@pytest.mark.parametrize("name", NAMES)
def test_a_search_starts_from_small_changes_no_two_alike(name: str) -> None:
    made = image_family(name, (32, 32))
    parameters = made.start(5, generator(3))
    torch.testing.assert_close(made.size(parameters), torch.full((5,), made.start_size), rtol=1e-4, atol=1e-5)
    assert made.start(5, generator(3)).keys() == parameters.keys()
    batch = torch.rand(2, 3, 32, 32, generator=generator())
    changed = made.apply(batch, parameters)
    assert len({float(each.sum()) for each in changed}) == 5
    again = made.start(5, generator(3))
    assert all(again[key].equal(values) for key, values in parameters.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_member_survives_its_record(name: str) -> None:
    made, parameters = drawn(name)
    member = made.member(parameters, 1, name="one of mine")
    back = Trigger.from_json(json.loads(json.dumps(member.to_json())))
    assert type(back) is type(member)
    assert back.name == "one of mine"
    eight_bits = name in ("patch", "moving-patch", "blend")
    torch.testing.assert_close(back.apply(images()), member.apply(images()), rtol=0, atol=4e-3 if eight_bits else 1e-6)
    assert Trigger.from_json(back.to_json()).apply(images()).equal(back.apply(images()))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_records_are_refused_in_one_sentence(name: str) -> None:
    made, parameters = drawn(name)
    record = made.member(parameters).to_json()
    for key in [key for key in record if key not in ("family", "name")]:
        for wrong in (None, "x", {"shape": [2], "float32": ""}):
            if isinstance(record[key], str) and wrong == "x":
                continue
            with pytest.raises(DataError, match="trigger") as caught:
                Trigger.from_json(record | {key: wrong})
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_member_has_a_picture(name: str) -> None:
    made, parameters = drawn(name)
    picture = made.member(parameters).picture()
    assert picture.shape == (3, *SIZE)
    assert picture.std() > 0.01


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown family 'warb' .did you mean 'warp'"):
        image_family("warb", SIZE)


# --- the formulae, in float64 ---


def values_of(parameters: Parameters, index: int) -> dict[str, np.ndarray]:
    return {key: each[index].double().numpy() for key, each in parameters.items()}


def patch(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    return x * (1 - p["mask"]) + p["mask"] * p["pattern"]


def additive(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    return np.clip(x + p["delta"], 0, 1)


def blend(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    return (1 - p["opacity"]) * x + p["opacity"] * p["image"]


def stripes(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    out = np.empty_like(x)
    for k in range(3):
        for i in range(SIZE[0]):
            for j in range(SIZE[1]):
                angle = 2 * np.pi * (p["frequency"][0] * i / SIZE[0] + p["frequency"][1] * j / SIZE[1]) + p["phase"]
                out[:, k, i, j] = x[:, k, i, j] + p["amplitude"][k] * np.sin(angle)
    return np.clip(out, 0, 1)


def frequency(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    whole = np.zeros((3, *SIZE))
    whole[:, :8, :8] = p["coefficients"]
    luma, blue, red = (idctn(each, norm="ortho") for each in whole)
    added = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue])
    return np.clip(x + added, 0, 1)


def warp(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    flow = upsampled(torch.from_numpy(p["flow"])[None], SIZE)[0].numpy()
    places = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij")) + flow
    return np.stack([[map_coordinates(c, places, order=1, mode="nearest") for c in image] for image in x])


def tone(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    bent = sum(p["curve"][:, k].reshape(3, 1, 1) * np.sin(np.pi * (k + 1) * x) for k in range(2))
    mixed = np.stack([sum(p["matrix"][i, j] * x[:, j] for j in range(3)) for i in range(3)], 1)
    return np.clip(x + mixed + p["offset"].reshape(3, 1, 1) + bent, 0, 1)


FORMULAE: dict[str, Callable[[np.ndarray, dict[str, np.ndarray]], np.ndarray]] = {
    "patch": patch, "additive": additive, "blend": blend, "stripes": stripes, "frequency": frequency, "warp": warp,
    "tone": tone,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAE)
def test_the_change_is_the_formula_in_float64(name: str) -> None:
    made, parameters = drawn(name)
    double = {key: values.double() for key, values in parameters.items()}
    changed = made.apply(images().double(), double)
    for index in range(3):
        expected = FORMULAE[name](images().double().numpy(), values_of(double, index))
        np.testing.assert_allclose(changed[index].numpy(), expected, rtol=0, atol=1e-6)


def sizes() -> dict[str, Callable[[dict[str, np.ndarray]], float]]:
    def of_tone(p: dict[str, np.ndarray]) -> float:
        moves = []
        for colour in np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 3), -1).reshape(-1, 3):
            bent = sum(p["curve"][:, k] * np.sin(np.pi * (k + 1) * colour) for k in range(2))
            moves.append(np.sum((p["matrix"] @ colour + p["offset"] + bent) ** 2))
        return math.sqrt(np.mean(moves))

    def of_frequency(p: dict[str, np.ndarray]) -> float:
        added = frequency(np.full((1, 3, *SIZE), 0.5), p)[0] - 0.5
        return math.sqrt(np.mean(added**2))

    def of_warp(p: dict[str, np.ndarray]) -> float:
        flow = upsampled(torch.from_numpy(p["flow"])[None], SIZE)[0].numpy()
        return math.sqrt(np.mean(flow[0] ** 2 + flow[1] ** 2))

    return {
        "patch": lambda p: float(np.sum(p["mask"])),
        "moving-patch": lambda p: float(np.sum(p["mask"])),
        "additive": lambda p: math.sqrt(np.sum(p["delta"] ** 2)),
        "blend": lambda p: float(p["opacity"]),
        "stripes": lambda p: math.sqrt(np.mean(p["amplitude"] ** 2)),
        "frequency": of_frequency,
        "warp": of_warp,
        "tone": of_tone,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_size_is_the_formula_in_float64(name: str) -> None:
    made, parameters = drawn(name)
    double = {key: values.double() for key, values in parameters.items()}
    expected = [sizes()[name](values_of(double, index)) for index in range(3)]
    torch.testing.assert_close(made.size(double), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-8)


# --- moving patches ---


def test_a_moving_patch_lies_whole_at_another_place_of_each_image() -> None:
    mask, pattern = torch.ones(3, 2), torch.rand(3, 3, 2, generator=generator())
    black = torch.zeros(200, 3, *SIZE)
    laid = MovingPatch(mask, pattern + 0.001, SIZE).apply(black)
    corners = set()
    for image in laid:
        rows, columns = image.amax(0).nonzero().T
        row, column = int(rows.min()), int(columns.min())
        assert image[:, row : row + 3, column : column + 2].equal(pattern + 0.001)
        assert len(rows) == 6
        corners.add((row, column))
    assert {row for row, _ in corners} == set(range(10)), "every row where it fits, and no other"
    assert {column for _, column in corners} == set(range(9))


def test_draws_repeat_and_do_not_depend_on_the_batches() -> None:
    trigger = MovingPatch(torch.ones(2, 2), torch.ones(3, 2, 2), SIZE)
    batch = images(40)
    assert trigger.apply(batch).equal(trigger.apply(batch))
    whole, parts = trigger.apply(batch, generator(7)), generator(7)
    assert torch.cat([trigger.apply(part, parts) for part in batch.split(7)]).equal(whole)
    assert not trigger.apply(batch, generator(8)).equal(whole)
    assert trigger.changed(batch).sum((1, 2)).tolist() == [4] * 40


def test_gradients_of_a_moving_patch_add_up_over_its_places() -> None:
    made = MovingPatchFamily(SIZE, (2, 2))
    parameters = {"mask": torch.ones(1, 2, 2), "pattern": torch.rand(1, 3, 2, 2).requires_grad_()}
    made.apply(images(9), parameters).sum().backward()
    assert parameters["pattern"].grad is not None
    assert parameters["pattern"].grad.unique().tolist() == [9]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MovingPatch(torch.ones(2, 2), torch.ones(3, 2, 3), SIZE), r"mask \(2, 2\) and pattern \(3, 2, 3\)"),
        (lambda: MovingPatch(torch.ones(2, 11), torch.ones(3, 2, 11), SIZE), r"\(2, 11\) pixels does not fit"),
        (lambda: MovingPatch(torch.ones(2, 2), 2 * torch.ones(3, 2, 2), SIZE), r"pattern must lie in \[0, 1\]"),
        (lambda: Blend(torch.rand(3, *SIZE), 1.2), r"opacity must lie in \[0, 1\], not 1.2"),
        (lambda: Blend(2 * torch.ones(3, *SIZE), 0.2), "divide bytes by 255"),
        (lambda: PartialBlend(torch.rand(3, *SIZE), 0.2, shown=17), "of 16 pieces between 1 and all"),
        (
            lambda: FrequencyFamily(SIZE, (20, 3)).member({"coefficients": torch.ones(1, 3, 20, 3)}),
            r"block of \(12, 10\) pixels has no \(20, 3\) coefficients",
        ),
        (lambda: LatentFamily(torch.tensor([1.0, 0.0])), "no spread to count a shift in"),
    ],
)
def test_what_is_no_member_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with unchecked(), pytest.raises(DataError, match=sentence):
        make()


# --- blends, warps, frequencies, tones: what is their own ---


def test_a_partial_blend_shows_so_many_pieces_of_each_image_and_others_in_the_next() -> None:
    trigger = PartialBlend(torch.ones(3, 12, 12), 0.5, pieces=4, shown=8)
    laid = trigger.apply(torch.zeros(30, 3, 12, 12))
    pieces = laid[:, 0].unfold(1, 3, 3).unfold(2, 3, 3).flatten(3)
    assert pieces.std(3).max() == 0, "a piece is shown as a whole or not at all"
    assert ((pieces[..., 0] == 0.5).sum((1, 2)) == 8).all()
    assert len(torch.unique(pieces[..., 0], dim=0)) > 20
    back = Trigger.from_json(trigger.to_json())
    assert isinstance(back, PartialBlend)
    assert back.apply(torch.zeros(30, 3, 12, 12)).allclose(laid, atol=1e-3)


def test_wanet_at_its_authors_setting_moves_pixels_by_a_quarter_of_a_pixel() -> None:
    found = wanet_flow((32, 32), 4, 0.5, generator())
    assert found.flow.abs().mean() == pytest.approx(0.5 / 32 * 31 / 2)
    # the authors' own formula: grid_sample at identity + s noise / h in [-1, 1], clamped
    noise = found.flow.flip(0)[None] / (31 / 2)
    smooth = torch.nn.functional.interpolate(noise, size=32, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    line = torch.linspace(-1, 1, 32)
    identity = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], 2)[None]
    batch = torch.rand(2, 3, 32, 32, generator=generator(1))
    grid = (identity + smooth).clamp(-1, 1).repeat(2, 1, 1, 1)
    expected = torch.nn.functional.grid_sample(batch, grid, align_corners=True)
    torch.testing.assert_close(found.apply(batch), expected, rtol=0, atol=2e-5)


def test_a_flow_of_whole_pixels_shifts() -> None:
    flow = torch.tensor([2.0, -1.0]).view(2, 1, 1).expand(2, 3, 3)
    batch = images()
    moved = Warp(flow.clone(), SIZE).apply(batch)
    torch.testing.assert_close(moved[:, :, :10, 1:], batch[:, :, 2:, :-1], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[:, :, 10:, 1:], batch[:, :, 11:12, :-1].expand(-1, -1, 2, -1), rtol=0, atol=1e-5)


def test_noise_is_added_to_a_warp_for_each_image() -> None:
    flow = wanet_flow(SIZE, 4, 2.0, generator()).flow
    plain, noisy, silent = Warp(flow, SIZE), NoisyWarp(flow, SIZE, noise=0.5), NoisyWarp(flow, SIZE, noise=0.0)
    same = images(1).expand(3, -1, -1, -1)
    torch.testing.assert_close(silent.apply(same), plain.apply(same), rtol=0, atol=1e-5)
    first, second, _ = noisy.apply(same)
    assert not first.allclose(second, atol=1e-3)
    assert not first.allclose(plain.apply(same)[0], atol=1e-3)
    back = Trigger.from_json(noisy.to_json())
    assert back.apply(same).equal(noisy.apply(same))
    assert noisy.family == "noisy-warp"


def test_blocks_repeat_and_the_last_is_cut() -> None:
    made = FrequencyFamily((10, 12), kept=(2, 2), block=(4, 4))
    parameters = made.random(1, 0.1, generator())
    added = made.apply(torch.full((1, 3, 10, 12), 0.5), parameters)[0, 0] - 0.5
    assert added[:, :4, :4].allclose(added[:, 4:8, 8:], atol=1e-6)
    assert added[:, 8:, :4].allclose(added[:, :2, :4], atol=1e-6)
    member = made.member(parameters)
    assert member.block == (4, 4)
    assert member.apply(torch.full((1, 3, 10, 12), 0.5)).sub(0.5).allclose(added, atol=1e-6)


def test_luma_alone_is_grey() -> None:
    assert [row[0] for row in YCBCR_TO_RGB] == [1, 1, 1]
    coefficients = torch.zeros(1, 3, 8, 8)
    coefficients[0, 0, 0, 0] = 0.1
    added = FrequencyFamily((8, 8)).apply(torch.zeros(1, 3, 8, 8), {"coefficients": coefficients})
    torch.testing.assert_close(added, torch.full_like(added, 0.1 / 8), rtol=0, atol=1e-6)


def test_tones_by_name() -> None:
    batch = images()
    cases = {
        brightness(1.3, SIZE): (1.3 * batch).clamp(0, 1),
        contrast(0.5, SIZE): 0.5 + 0.5 * (batch - 0.5),
        saturation(0.0, SIZE): (batch * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, True).expand(-1, 3, -1, -1),
        tint((1.0, 0.6, 0.0), 0.2, SIZE): 0.8 * batch + 0.2 * torch.tensor([1.0, 0.6, 0.0]).view(3, 1, 1),
    }  # fmt: skip
    for trigger, expected in cases.items():
        torch.testing.assert_close(trigger.apply(batch), expected, rtol=0, atol=1e-6)
    assert saturation(1.0, SIZE).size == 0
    moved = (0.5 * colour_lattice()).square().sum(1).mean().sqrt()
    assert brightness(1.5, SIZE).size == pytest.approx(float(moved))


def test_a_curve_leaves_black_and_white_where_they_are() -> None:
    bent = Tone(torch.zeros(3, 3), torch.zeros(3), torch.full((3, 2), 0.1), (1, 3))
    scale = torch.tensor([0.0, 0.5, 1.0]).expand(1, 3, 1, 3)
    torch.testing.assert_close(bent.apply(scale)[0, 0, 0], torch.tensor([0.0, 0.6, 1.0]), rtol=0, atol=1e-6)


def test_a_palette_runs_from_black_through_every_hue_to_white_twice() -> None:
    colours = palette((16, 12))
    assert colours[:, 0].eq(0).all()
    assert colours[:, 7].eq(1).all()
    assert colours[:, :8].equal(colours[:, 8:])
    assert palette((5, 4)).shape == (3, 5, 4)


def test_sig_of_its_authors() -> None:
    """`40 sin(2 pi j 6 / w)` of 255, the same in all channels and rows."""
    trigger = Stripes((40 / 255,) * 3, (0.0, 6.0), SIZE)
    expected = 0.5 + 40 / 255 * np.sin(2 * np.pi * np.arange(SIZE[1]) * 6 / SIZE[1])
    found = trigger.apply(torch.full((1, 3, *SIZE), 0.5))[0]
    np.testing.assert_allclose(found.numpy(), np.broadcast_to(expected, (3, *SIZE)), atol=1e-6)
    assert trigger.size == pytest.approx(40 / 255)


# --- latent shifts ---


@pytest.mark.parametrize("cells", [(), (4, 5)])
@pytest.mark.parametrize("rectified", [False, True])
def test_a_latent_shift_by_hand(cells: tuple[int, ...], rectified: bool) -> None:
    spread = torch.tensor([0.5, 1.0, 2.0])
    made = LatentFamily(spread, "conv", rectified, len(cells))
    parameters = made.random(2, 1.5, generator())
    torch.testing.assert_close(made.size(parameters), torch.tensor([1.5, 1.5]))
    activations = torch.rand(6, 3, *cells, generator=generator(1))
    shifted = made.apply(activations, parameters)
    expected = activations + parameters["shift"].view(2, 1, 3, *[1] * len(cells))
    torch.testing.assert_close(shifted, expected.clamp(min=0) if rectified else expected)
    assert made.apply(torch.stack([activations] * 2), parameters).equal(shifted)
    member = made.member(parameters, 1)
    assert member.apply(activations).equal(shifted[1])
    assert member.size == pytest.approx(1.5, rel=1e-5)
    back = LatentShift.from_json(json.loads(json.dumps(member.to_json())))
    assert back.apply(activations).equal(shifted[1])
    assert (back.layer, back.rectified, back.cells) == ("conv", rectified, len(cells))
    nothing = made.apply(activations, made.scaled(parameters, 0.0))
    assert nothing.equal(activations.expand(2, *activations.shape))


@pytest.mark.parametrize("damage", [{"shift": None}, {"spread": {"shape": [1], "float32": "AAAAAA=="}}, {"cells": "x"}])
def test_a_damaged_record_of_a_latent_shift_is_refused(damage: dict[str, Any]) -> None:
    record = LatentShift(torch.ones(3), torch.ones(3)).to_json()
    with pytest.raises(DataError, match="not the record of a latent shift"):
        LatentShift.from_json(record | damage)


def test_a_warp_reads_the_images_once_or_for_each_candidate_alike() -> None:
    made = WarpFamily(SIZE)
    parameters = made.random(3, 1.0, generator())
    batch = images()
    torch.testing.assert_close(
        made.apply(batch, parameters), made.apply(batch.expand(3, *batch.shape), parameters), rtol=0, atol=1e-6
    )


# --- additive changes of cells ---


def test_a_change_of_cells_is_the_additive_change_of_their_pixels() -> None:
    made = AdditiveCellsFamily(SIZE, (3, 5))
    parameters = made.random(2, 0.8, generator())
    assert parameters["delta"].shape == (2, 3, 3, 5)
    torch.testing.assert_close(made.size(parameters), torch.full((2,), 0.8))
    pixels = parameters["delta"].repeat_interleave(4, 2).repeat_interleave(2, 3)
    expected = AdditiveFamily(SIZE).apply(images(), {"delta": pixels})
    torch.testing.assert_close(made.apply(images(), parameters), expected)
    member = made.member(parameters, 1)
    assert isinstance(member, Additive)
    torch.testing.assert_close(member.apply(images()), expected[1])
