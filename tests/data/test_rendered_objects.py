from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from trojancam.data import rendered
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.loading import load_dataset
from trojancam.data.rendered import OBJECT_NAMES, photographs, render_objects, rendered_objects
from trojancam.data.rendered.designs import DESIGNS, FIRST_DESIGN, OBJECTS, object_outlines, object_templates
from trojancam.data.rendered.scenes import draw_shots
from trojancam.data.rendered.surfaces import draw_looks
from trojancam.errors import DataError, UnknownNameError

CLASSES = list(range(20))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return rendered_objects(train=20 * 9, test=20 * 4 + 1, size=32, seed=5)


def equal(a: ImageSet, b: ImageSet) -> bool:
    pairs = [(a.images, b.images), (a.labels, b.labels), (a.tracks, b.tracks), (a.regions, b.regions)]
    return all(torch.equal(torch.as_tensor(x), torch.as_tensor(y)) for x, y in pairs)


def of(images: ImageSet, regions: Tensor) -> Tensor:
    """Which pixels lie in the boxes: (n, size, size)."""
    ruler = torch.arange(images.size[0])
    x1, y1, x2, y2 = (column[:, None] for column in regions.unbind(1))
    return ((ruler >= y1) & (ruler <= y2))[:, :, None] & ((ruler >= x1) & (ruler <= x2))[:, None, :]


def test_there_are_twenty_classes_each_of_two_or_three_designs() -> None:
    assert len(OBJECT_NAMES) == 20
    assert sorted(OBJECT_NAMES) == list(OBJECT_NAMES)
    assert {len(designs) for designs in OBJECTS.values()} == {2, 3}
    drawings = [draw for designs in OBJECTS.values() for draw in designs]
    assert len(set(drawings)) == len(drawings) == len(object_templates(32))


def test_every_class_is_as_frequent_as_another_and_no_track_is_in_both_sets(dataset: Dataset) -> None:
    assert dataset.train.images.shape == (180, 3, 32, 32)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.bincount().tolist() == [9] * 20
    assert sorted(dataset.test.labels.bincount().tolist()) == [4] * 19 + [5]
    assert dataset.train.class_names == OBJECT_NAMES
    assert dataset.source == "rendered objects, seed 5"
    first, second = torch.as_tensor(dataset.train.tracks), torch.as_tensor(dataset.test.tracks)
    assert not torch.isin(first, second).any()


def test_the_seed_decides_every_byte_and_the_first_images_do_not_depend_on_how_many_follow() -> None:
    labels = [i % 20 for i in range(50)]
    few, again, many = (render_objects(chosen, seed=2, size=32) for chosen in (labels[:30], labels[:30], labels))
    other = render_objects(labels[:30], seed=3, size=32)
    assert equal(few, again)
    assert equal(few, many.select(range(30)))
    assert not torch.equal(few.images, other.images)


def test_images_of_a_track_show_one_object() -> None:
    tracks = torch.tensor([4, 4, 4, 9, 9, 9])
    looks = draw_looks(torch.tensor([7] * 6), tracks, seed=1)
    for drawn in (looks.design, looks.colours, looks.surface, looks.hidden, draw_shots(tracks, 1).backdrop):
        assert (drawn[:3] == drawn[:1]).all()
    assert not torch.equal(looks.colours[0], looks.colours[3])
    images = render_objects([7] * 6, seed=1, size=32, tracks=tracks).images.float().flatten(1)
    within, between = torch.cdist(images[:3], images[:3]), torch.cdist(images[:3], images[3:])
    assert within[~torch.eye(3, dtype=torch.bool)].mean() < 0.6 * between.mean()


def test_every_design_of_a_class_is_drawn_and_none_of_another() -> None:
    labels = torch.tensor(CLASSES * 40)
    designs = draw_looks(labels, torch.arange(len(labels)), seed=0).design.numpy()
    for label in CLASSES:
        drawn = set(designs[labels.numpy() == label].tolist())
        assert drawn == set(range(FIRST_DESIGN[label], FIRST_DESIGN[label] + DESIGNS[label]))


def test_nothing_but_the_design_tells_the_class() -> None:
    tracks = torch.arange(400)
    first, second = (draw_looks(torch.full((400,), label), tracks, seed=3) for label in (0, 13))
    for name in ("colours", "relief", "surface", "cut", "shading", "shadow", "hidden", "backdrop_tint"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    one, another = (render_objects([label] * 24, seed=3, size=48) for label in (6, 16))
    x1, y1, x2, y2 = torch.as_tensor(one.regions).unbind(1)
    a1, b1, a2, b2 = torch.as_tensor(another.regions).unbind(1)
    both = torch.stack([x1.minimum(a1), y1.minimum(b1), x2.maximum(a2), y2.maximum(b2)], dim=1)
    margin = torch.tensor([-5.0, -5.0, 5.0, 5.0])  # shadows and blur reach over the edge
    changed = (one.images.int() - another.images.int()).abs().amax(dim=1)
    assert changed[~of(one, both + margin)].float().mean() < 1
    assert changed[of(one, both)].float().mean() > 10


def test_templates_are_shares_and_fill_their_canvas() -> None:
    templates = object_templates(96).int()
    assert (templates[:, :3].sum(dim=1) <= templates[:, 3] + 3).all()
    alpha = templates[:, 3] > 127
    width, height = alpha.any(dim=1).sum(dim=1), alpha.any(dim=2).sum(dim=1)
    assert (torch.maximum(width, height) / 96 - 1 / 1.1).abs().max() < 0.04
    assert float(object_outlines().abs().amax()) == pytest.approx(1, abs=0.03)
    for material in (
        templates[:, 0],
        templates[:, 1] + templates[:, 2] + (templates[:, 3] - templates[:, :3].sum(dim=1)),
    ):
        assert (material > 127).flatten(1).any(dim=1).all()  # a silhouette, and detail inside it


def test_designs_differ_whatever_their_colours() -> None:
    alpha = object_templates(32)[:, 3].float().flatten(1) / 255
    shares = object_templates(32).float().flatten(1) / 255
    outlines, insides = torch.cdist(alpha, alpha, p=1), torch.cdist(shares, shares, p=1)
    other = ~torch.eye(len(alpha), dtype=torch.bool)
    assert insides[other].min() > 60  # of 4 x 1024
    assert (outlines[other] > 20).float().mean() > 0.98


def test_boxes_hold_the_objects(dataset: Dataset) -> None:
    regions = torch.as_tensor(dataset.train.regions)
    assert (regions >= 0).all()
    assert (regions <= 31).all()
    longer = torch.maximum(regions[:, 2] - regions[:, 0], regions[:, 3] - regions[:, 1]) + 1
    assert 0.5 < float(longer.mean() / 32) < 0.9


@pytest.mark.parametrize("size", [64, 96])
def test_other_sizes_show_the_same_scene(size: int) -> None:
    small, other = (render_objects([5, 11, 18], seed=8, size=pixels) for pixels in (32, size))
    pixels = torch.nn.functional.interpolate(other.images.float(), size=(32, 32), mode="bilinear", antialias=True)
    assert (pixels - small.images).abs().mean() < 12
    scaled = (torch.as_tensor(other.regions) + torch.tensor([0, 0, 1, 1])) * (32 / size)
    assert torch.allclose(scaled, torch.as_tensor(small.regions) + torch.tensor([0, 0, 1, 1]), atol=1e-3)


def test_objects_stand_before_photographs_and_none_is_too_dark_or_empty() -> None:
    images = render_objects(CLASSES * 3, seed=4, size=32).images.float()
    assert float(images.mean()) == pytest.approx(105, abs=35)
    assert images.flatten(1).std(dim=1).median() > 30


def test_a_part_of_a_photograph_is_that_part() -> None:
    whole = photographs.part("astronaut.png", (0.5, 0.5), 1.0, 64, mirrored=False)
    corner = photographs.part("astronaut.png", (0.0, 0.0), 0.5, 32, mirrored=False)
    assert np.abs(whole[:, :32, :32].astype(int) - corner).mean() < 2
    assert np.array_equal(photographs.part("astronaut.png", (0.0, 0.0), 0.5, 32, mirrored=True), corner[:, :, ::-1])


def test_global_random_numbers_are_left_alone() -> None:
    before, legacy = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    rendered_objects(train=4, test=2, size=16, seed=9)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


def test_progress_reaches_the_total_and_nothing_asked_is_nothing_rendered() -> None:
    calls: list[tuple[int, int, str]] = []
    rendered_objects(
        train=30, test=10, size=16, progress=lambda done, total, note="": calls.append((done, total, note))
    )
    assert calls[0][1:] == (40, "rendering training objects")
    assert calls[-1] == (40, 40, "rendering test objects")
    assert render_objects([]).images.shape == (0, 3, 64, 64)


def test_the_name_gives_the_data_set_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "rendered_objects", lambda train=40, **told: rendered_objects(train, 20, **told))
    named, cut = (load_dataset("rendered:objects", size=16, classes=20, seed=1, crop=crop) for crop in (False, True))
    assert equal(named.train, rendered_objects(40, 20, 16, 1).train)
    assert not torch.equal(named.test.images, cut.test.images)
    wide = load_dataset(Path("rendered:objects"), size=(16, 24), training=False, seed=1)
    assert (len(wide.train), wide.test.images.shape) == (0, (20, 3, 16, 24))


def test_bad_input_is_refused_as_that_of_signs_is() -> None:
    with pytest.raises(DataError, match="number of test images must not be negative, but it is -3"):
        rendered_objects(test=-3)
    with pytest.raises(DataError, match="16 to 512 pixels wide, not 4"):
        rendered_objects(train=1, test=1, size=4)
    with pytest.raises(DataError, match="seed must not be negative"):
        render_objects([1], seed=-1)
    with pytest.raises(DataError, match="between 0 and 19, but one is 20"):
        render_objects([3, 20])
    with pytest.raises(DataError, match="as many track numbers as labels"):
        render_objects([1, 2], tracks=[0])
    with pytest.raises(DataError, match=r"tells 43 classes apart, but the data has 20 \(rendered objects\)"):
        load_dataset("rendered:objects", classes=43)
    with pytest.raises(UnknownNameError, match="unknown rendered data set 'rendered:object'.*'rendered:objects'"):
        load_dataset("rendered:object")


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"need the extra 'objects'; install it: pip install 'trojancam\[objects\]'"):
        rendered_objects(train=1, test=1)


def test_a_scikit_image_without_its_photographs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = ModuleSpec("skimage", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(photographs, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"lacks its sample image page\.png; install another version of it"):
        photographs._photograph.__wrapped__("page.png")
