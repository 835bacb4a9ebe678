import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.nets import unchecked

from trojancam.data import GTSRB_CLASS_NAMES, Dataset, ImageSet, as_floats, class_index
from trojancam.errors import DataError, UnknownNameError


def numbered(labels: list[int], tracks: list[int] | None = None) -> ImageSet:
    """Images that hold their own index."""
    count = len(labels)
    index = torch.arange(count, dtype=torch.uint8)
    return ImageSet(
        index[:, None, None, None].expand(count, 3, 2, 2).clone(),
        torch.tensor(labels, dtype=torch.int64),
        ("a", "b", "c"),
        tracks=None if tracks is None else torch.tensor(tracks),
        regions=index[:, None].repeat(1, 4).float(),
        names=tuple(f"{i}.png" for i in range(count)),
    )


def test_a_selection_keeps_everything_together() -> None:
    chosen = numbered([0, 1, 2, 1], [5, 6, 7, 8]).select([3, 1])
    assert chosen.images[:, 0, 0, 0].tolist() == [3, 1]
    assert chosen.labels.tolist() == [1, 1]
    assert chosen.tracks is not None
    assert chosen.tracks.tolist() == [8, 6]
    assert chosen.regions is not None
    assert chosen.regions[:, 0].tolist() == [3, 1]
    assert chosen.names == ("3.png", "1.png")


def test_a_sample_is_repeatable_and_holds_no_image_twice() -> None:
    images = numbered([0, 1, 2] * 10)
    first, again, other = images.sample(20, seed=1), images.sample(20, seed=1), images.sample(20, seed=2)
    assert first.names == again.names != other.names
    assert len(set(first.names or ())) == 20
    assert len(images.sample(99)) == 30


def test_take_gives_floats_between_0_and_1() -> None:
    images, labels = numbered([0, 1, 2]).take(2)
    assert images.shape == (2, 3, 2, 2)
    assert labels.shape == (2,)
    assert as_floats(torch.tensor([[[[0, 255]]] * 3], dtype=torch.uint8)).unique().tolist() == [0, 1]


def test_parts_that_do_not_fit_together() -> None:
    pixels = torch.zeros((2, 3, 2, 2), dtype=torch.uint8)
    with pytest.raises(DataError, match="as many labels as images"):
        ImageSet(pixels, torch.tensor([0, 0]), ("a",), names=("one.png",))
    with pytest.raises(DataError, match="labels run from 0 to 1, but there are 1 class names"):
        ImageSet(pixels, torch.tensor([0, 1]), ("a",))
    with pytest.raises(DataError, match="no track numbers"):
        ImageSet(pixels, torch.tensor([0, 0]), ("a",)).split_by_track(0.5)
    with pytest.raises(DataError, match="between 0 and 1, not 1"):
        numbered([0], [0]).split_by_track(1.0)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=40),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_a_split_by_track_shares_no_track_and_loses_no_image(
    pairs: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    images = numbered([label for label, _ in pairs], [label * 10 + track for label, track in pairs])
    first, second = images.split_by_track(fraction, seed)
    assert first.tracks is not None
    assert second.tracks is not None
    assert not set(first.tracks.tolist()) & set(second.tracks.tolist())
    assert sorted((first.names or ()) + (second.names or ())) == sorted(images.names or ())
    for label in {label for label, _ in pairs}:
        tracks = {track for other, track in pairs if other == label}
        assert label in first.labels
        assert label in second.labels or len(tracks) == 1


def test_a_dataset_lists_what_both_parts_skipped() -> None:
    images = numbered([0])
    skipped = ImageSet(images.images, images.labels, images.class_names, skipped=("x.png: it is empty",))
    assert Dataset(images, skipped, "here").skipped == ("x.png: it is empty",)


def test_there_are_43_classes_with_names_of_their_own() -> None:
    assert len(set(GTSRB_CLASS_NAMES)) == 43
    assert GTSRB_CLASS_NAMES[14] == "Stop"
    assert GTSRB_CLASS_NAMES[10] == "No passing for vehicles over 3.5 metric tons"


@pytest.mark.parametrize("index", range(43))
def test_a_class_is_found_by_number_and_by_name(index: int) -> None:
    name = GTSRB_CLASS_NAMES[index]
    for given_as in (index, str(index), f"000{index:02d}", name, name.upper(), f" {name} "):
        assert class_index(given_as, GTSRB_CLASS_NAMES) == index


def test_a_beginning_must_mean_one_class() -> None:
    assert class_index("general", GTSRB_CLASS_NAMES) == 18
    assert class_index("no passing", GTSRB_CLASS_NAMES) == 9  # the whole name, though another begins so
    assert class_index("10", ["0", "1", "10"]) == 2  # a name wins over a number
    for unclear in ("speed", "", "43", -1, 43, "1²", "Stopp"):
        with pytest.raises(UnknownNameError, match="unknown class"):
            class_index(unclear, GTSRB_CLASS_NAMES)


def test_colours_last_and_arrays_become_what_a_set_holds() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    with unchecked():
        images = ImageSet(pixels, [1, 0], ("a", "b"))  # type: ignore[arg-type]
    assert images.size == (4, 5)
    assert images.labels.tolist() == [1, 0]
    assert torch.equal(images.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (torch.rand(2, 3, 4, 4), [0, 1], r"bytes, 0 to 255, not float32; convert them: \(images \* 255\).round\(\)"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int64), [0, 1], r"not int64; convert them: images.to\(torch.uint8\)"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 1], r"not \(2, 1, 4, 4\); move their axes, or of grey ones"),
        ([1, 2], [0, 1], "one tensor of bytes .*, not a list; stack them"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), np.eye(2), "whole numbers, one for each image; .*labels.argmax"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), ["a", "b"], "of names take class_names.index"),
    ],
)
def test_what_is_no_set_is_refused_when_it_is_made(images, labels, sentence) -> None:
    with pytest.raises(DataError, match=sentence), unchecked():
        ImageSet(images, labels, ("a", "b"))
