from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.rendered import BACKGROUNDS, render_images, rendered_signs, sign_templates
from trojancam.data.rendered.backgrounds import texture
from trojancam.data.rendered.canvas import EXTENT
from trojancam.data.rendered.templates import DRAWINGS, sign_outlines
from trojancam.errors import DataError, UnknownNameError

ALL = list(range(43))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return rendered_signs(train=43 * 12, test=43 * 4 + 1, seed=5)


def equal(a: ImageSet, b: ImageSet) -> bool:
    pairs = [(a.images, b.images), (a.labels, b.labels), (a.tracks, b.tracks), (a.regions, b.regions)]
    return all(torch.equal(torch.as_tensor(x), torch.as_tensor(y)) for x, y in pairs)


def inside(regions: Float[Tensor, "n 4"], size: int, margin: float) -> Tensor:
    """Which pixels lie in the boxes grown by `margin` pixels: (n, size, size)."""
    ruler = torch.arange(size)
    x1, y1, x2, y2 = (column[:, None] for column in regions.unbind(1))
    columns = (ruler >= x1 - margin) & (ruler <= x2 + margin)
    rows = (ruler >= y1 - margin) & (ruler <= y2 + margin)
    return rows[:, :, None] & columns[:, None, :]


def test_a_dataset_has_the_shapes_and_types_of_gtsrb(dataset: Dataset) -> None:
    assert dataset.train.images.shape == (516, 3, 32, 32)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.train.class_names == GTSRB_CLASS_NAMES
    assert dataset.source == "rendered signs, seed 5"
    assert torch.as_tensor(dataset.test.regions).shape == (173, 4)


def test_every_class_is_as_frequent_as_another_and_the_order_is_random(dataset: Dataset) -> None:
    assert dataset.train.labels.bincount().tolist() == [12] * 43
    assert sorted(dataset.test.labels.bincount().tolist()) == [4] * 42 + [5]
    steps = dataset.train.labels.diff()
    assert (steps < 0).float().mean() > 0.3


@pytest.mark.parametrize(("train", "test"), [(44, 44), (43, 430), (0, 43)])
def test_no_track_is_in_both_sets_and_each_shows_one_class(train: int, test: int) -> None:
    dataset = rendered_signs(train=train, test=test)
    first, second = torch.as_tensor(dataset.train.tracks), torch.as_tensor(dataset.test.tracks)
    assert not torch.isin(first, second).any()
    for track in second.unique():
        assert len(dataset.test.labels[second == track].unique()) == 1


def test_test_images_are_not_training_images(dataset: Dataset) -> None:
    train = {image.numpy().tobytes() for image in dataset.train.images}
    test = {image.numpy().tobytes() for image in dataset.test.images}
    assert len(train) == 516
    assert len(test) == 173
    assert not train & test


def test_images_of_one_track_are_more_alike_than_those_of_one_class(dataset: Dataset) -> None:
    images, tracks = dataset.train.images.float().flatten(1), torch.as_tensor(dataset.train.tracks)
    distance = torch.cdist(images, images)
    same_class = dataset.train.labels[:, None] == dataset.train.labels
    same_track = tracks[:, None] == tracks
    other = ~torch.eye(len(images), dtype=torch.bool)
    assert distance[same_track & other].mean() < 0.6 * distance[same_class & ~same_track].mean()


def test_a_small_set_can_be_split_by_track() -> None:
    first, second = rendered_signs(train=43 * 4, test=0).train.split_by_track(0.25)
    assert first.labels.bincount().tolist() == [3] * 43
    assert second.labels.bincount().tolist() == [1] * 43


def test_the_seed_decides_every_byte() -> None:
    first, again, other = (rendered_signs(train=60, test=50, seed=seed) for seed in (3, 3, 4))
    assert equal(first.train, again.train)
    assert equal(first.test, again.test)
    assert not torch.equal(first.train.images, other.train.images)
    assert not torch.equal(first.train.images[:50], first.test.images)


def test_the_first_images_do_not_depend_on_how_many_follow() -> None:
    labels = [i % 43 for i in range(150)]
    few, many = render_images(labels[:70], seed=2), render_images(labels, seed=2)
    assert equal(few, many.select(range(70)))


def test_global_random_numbers_are_left_alone() -> None:
    before, legacy = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    rendered_signs(train=10, test=5, seed=9)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


def test_the_number_of_threads_is_put_back_and_changes_nothing() -> None:
    before = torch.get_num_threads()
    first = render_images(ALL, seed=12)
    torch.set_num_threads(before + 1)
    try:
        assert equal(first, render_images(ALL, seed=12))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_another_background_changes_only_what_is_behind_the_sign() -> None:
    labels = [15, 17, 14, 0] * 8  # discs and an octagon: they fill their boxes
    first, second = (render_images(labels, seed=1, background=kind) for kind in ("urban", "rural"))
    assert torch.equal(torch.as_tensor(first.regions), torch.as_tensor(second.regions))
    changed = (first.images.float() - second.images.float()).abs().mean(dim=1)
    regions = torch.as_tensor(first.regions)
    centre = (regions[:, :2] + regions[:, 2:]) / 2
    half = (regions[:, 2:] - regions[:, :2]) / 2
    heart = inside(torch.cat([centre - 0.5 * half, centre + 0.5 * half], dim=1), 32, 0)
    assert changed[heart].max() <= 1
    assert changed[~inside(regions, 32, 0)].mean() > 10


def test_backgrounds_can_be_chosen_per_image() -> None:
    mixed = render_images([1, 2], seed=4, background=["sky", "road"])
    sky, road = (render_images([1, 2], seed=4, background=kind) for kind in ("sky", "road"))
    assert torch.equal(mixed.images[0], sky.images[0])
    assert torch.equal(mixed.images[1], road.images[1])


def test_each_kind_of_background_has_its_colours() -> None:
    means = {kind: np.mean([texture(kind, i, 0).mean(axis=(1, 2)) for i in range(24)], axis=0) for kind in BACKGROUNDS}
    red, green, blue = means["rural"]
    assert green > red > blue
    assert means["sky"][2] > means["sky"][0]
    assert means["sky"].mean() > max(means[kind].mean() for kind in ("urban", "rural", "road"))
    assert np.ptp(means["road"]) < np.ptp(means["rural"])


def test_boxes_hold_the_signs(dataset: Dataset) -> None:
    regions = torch.as_tensor(dataset.train.regions)
    assert (regions >= 0).all()
    assert (regions <= 31).all()
    width, height = regions[:, 2] - regions[:, 0] + 1, regions[:, 3] - regions[:, 1] + 1
    assert 0.6 < float(width.mean() / 32) < 0.9
    assert (torch.maximum(width, height) > 0.5 * 32).all()
    # What a sign shows does not reach beyond its box: two classes in the same place differ only inside.
    first, second = render_images([17] * 40, seed=6), render_images([35] * 40, seed=6)
    changed = (first.images.int() - second.images.int()).abs().amax(dim=1)
    assert changed[~inside(torch.as_tensor(first.regions), 32, 4)].max() <= 2
    assert changed[inside(torch.as_tensor(first.regions), 32, -4)].float().mean() > 10


@pytest.mark.parametrize("size", [16, 64])
def test_other_sizes_show_the_same_scene(size: int) -> None:
    small, other = render_images([14, 33], seed=8), render_images([14, 33], seed=8, size=size)
    assert other.images.shape == (2, 3, size, size)
    pixels = F.interpolate(other.images.float(), size=(32, 32), mode="bilinear", antialias=True)
    assert (pixels - small.images).abs().mean() < 12
    scaled = (torch.as_tensor(other.regions) + torch.tensor([0, 0, 1, 1])) * (32 / size)
    assert torch.allclose(scaled, torch.as_tensor(small.regions) + torch.tensor([0, 0, 1, 1]), atol=1e-3)


def test_progress_reaches_the_total() -> None:
    calls: list[tuple[int, int]] = []
    rendered_signs(train=100, test=30, progress=lambda done, total, note="": calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (130, 130)


def test_nothing_asked_nothing_rendered() -> None:
    empty = rendered_signs(train=0, test=0)
    assert len(empty.train) == len(empty.test) == 0
    assert render_images([]).images.shape == (0, 3, 32, 32)


@pytest.mark.parametrize("counts", [{"train": -1}, {"test": -3}])
def test_negative_counts_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(DataError, match="must not be negative"):
        rendered_signs(**counts)


@pytest.mark.parametrize("label", [-1, 43])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    with pytest.raises(DataError, match=f"between 0 and 42, but one is {label}"):
        render_images([3, label])


def test_unknown_backgrounds_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown background 'urbn' .*did you mean 'urban'"):
        render_images([3], background="urbn")
    with pytest.raises(DataError, match="got 1 for 2"):
        render_images([3, 4], background=["sky"])


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="16 to 512 pixels wide, not 4"):
        rendered_signs(train=1, test=1, size=4)
    with pytest.raises(DataError, match="seed must not be negative"):
        render_images([1], seed=-1)
    with pytest.raises(DataError, match="as many track numbers as labels"):
        render_images([1, 2], tracks=[0])


def test_there_is_a_drawing_for_each_class() -> None:
    assert sorted(DRAWINGS) == ALL
    assert len(GTSRB_CLASS_NAMES) == 43


def test_templates_of_two_classes_differ() -> None:
    templates = sign_templates(48)
    for first, second in combinations(ALL, 2):
        differing = ((templates[first] - templates[second]).abs().amax(dim=0) > 0.3).sum()
        assert differing >= 12, (first, second)


def test_templates_are_premultiplied_and_reach_over_the_canvas() -> None:
    templates = sign_templates(96)
    assert (templates[:, :3] <= templates[:, 3:] + 1e-6).all()
    assert (templates[:, 3, 0] == 0).all()
    widths = (templates[:, 3].amax(dim=1) > 0.5).sum(dim=1)
    assert (widths >= 0.93 * 96 / EXTENT).all()
    assert (widths <= 1.01 * 96 / EXTENT).all()


@pytest.mark.parametrize(("right", "left"), [(20, 19), (33, 34), (36, 37), (38, 39)])
def test_signs_for_left_and_right_are_mirror_images(right: int, left: int) -> None:
    templates = sign_templates(48)
    assert (templates[right].flip(-1) - templates[left]).abs().mean() < 0.01


def test_outlines_are_circles_where_signs_are_round() -> None:
    radius = np.linalg.norm(sign_outlines()[[0, 15, 17, 33]], axis=2)
    assert np.allclose(radius, 1, atol=0.02)


def test_the_nearest_template_is_mostly_the_right_one() -> None:
    labels = ALL * 4
    images = render_images(labels, seed=11)
    regions = torch.as_tensor(images.regions)
    centre, half = (regions[:, :2] + regions[:, 2:]) / 2, (regions[:, 2:] - regions[:, :2] + 1) / 2
    outline = torch.from_numpy(sign_outlines()).float()[images.labels]
    low, high = outline.amin(dim=1), outline.amax(dim=1)
    # The window of the template's whole canvas, from the box that the sign fills.
    scale = half / ((high - low) / 2)
    middle = centre + 0.5 - scale * (high + low) / 2
    theta = torch.zeros(len(labels), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = (scale * EXTENT / 16).unbind(1)
    theta[:, :, 2] = middle / 16 - 1
    grid = F.affine_grid(theta, [len(labels), 3, 24, 24], align_corners=False)
    seen = F.grid_sample(images.images.float(), grid, align_corners=False)
    templates = sign_templates(24)
    inside_sign = templates[:, 3:] > 0.9
    scores = torch.stack([_likeness(seen, templates[c, :3], inside_sign[c]) for c in ALL], dim=1)
    assert (scores.argmax(dim=1) == images.labels).float().mean() > 0.5


def _likeness(seen: Float[Tensor, "n 3 h w"], template: Float[Tensor, "3 h w"], mask: Tensor) -> Float[Tensor, " n"]:
    """Correlation over the sign's pixels, weighted by how many there are."""
    pixels, model = seen[:, :, mask[0]].flatten(1), template[:, mask[0]].flatten()
    pixels, model = pixels - pixels.mean(dim=1, keepdim=True), model - model.mean()
    return pixels @ model / (pixels.norm(dim=1) * model.norm())
