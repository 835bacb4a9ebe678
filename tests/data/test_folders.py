import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

import trojancam.data
import trojancam.data.rendered
from trojancam.data import GTSRB_CLASS_NAMES, Dataset, folder, load_dataset
from trojancam.errors import DataError, Remedy


def paint(path: Path, grey: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (grey, grey, grey)).save(path)


def test_folders_are_the_classes_numbers_by_value(tmp_path: Path) -> None:
    for grey, name in enumerate(["10/a.png", "9/b.jpg", "9/c.PPM", "stop/d.bmp"]):
        paint(tmp_path / name, grey * 50)
    (tmp_path / "9" / "Thumbs.db").write_text("no image")
    (tmp_path / "9" / ".hidden.png").write_text("no image")
    (tmp_path / ".git").mkdir()
    signs = folder(tmp_path, size=4)
    assert signs.class_names == ("9", "10", "stop")
    assert signs.names == ("9/b.jpg", "9/c.PPM", "10/a.png", "stop/d.bmp")
    assert signs.labels.tolist() == [0, 0, 1, 2]
    assert signs.images[:, 0, 0, 0].tolist() == [50, 100, 0, 150]
    assert signs.size == (4, 4)
    assert signs.skipped == ()


def test_folders_are_matched_to_class_names_by_name_or_number(tmp_path: Path) -> None:
    for name in ("00014", "yield", "Roundabout mandatory", "3"):
        paint(tmp_path / name / "1.png")
    signs = folder(tmp_path, class_names=GTSRB_CLASS_NAMES)
    assert signs.class_names == GTSRB_CLASS_NAMES
    assert dict(zip(signs.names or (), signs.labels.tolist(), strict=True)) == {
        "00014/1.png": 14,
        "yield/1.png": 13,
        "Roundabout mandatory/1.png": 40,
        "3/1.png": 3,
    }


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    paint(tmp_path / "stpo" / "1.png")
    with pytest.raises(DataError, match=r"stpo is none of the classes .*did you mean 'stop'.*; rename or remove it"):
        folder(tmp_path, class_names=["stop", "yield"])


def test_broken_files_are_skipped_and_listed(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").write_text("no image")
    signs = folder(tmp_path)
    assert signs.names == ("a/1.png",)
    assert signs.skipped == ("a/2.png: it is not an image, or of a kind that Pillow does not know",)
    assert signs.select([0]).skipped == ()


def test_what_is_not_class_folders_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is missing; give a folder of class folders"):
        folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no class folders; put the images of each class into a folder"):
        folder(tmp_path)
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"holds images, but no class folders; put .* such as stop/1.png"):
        folder(tmp_path)
    with pytest.raises(DataError, match=r"1.png is not a folder"):
        folder(tmp_path / "1.png")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"hold no images; put the images"):
        folder(tmp_path)


def test_class_folders_are_split_the_same_way_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(10):
            paint(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "broken.png").write_text("")
    data = load_dataset(tmp_path, size=4, seed=3)
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert not set(data.train.names or ()) & set(data.test.names or ())
    assert data.train.tracks is None
    assert data.skipped == ("a/broken.png: it is empty",)
    assert load_dataset(tmp_path, size=4, seed=3).test.names == data.test.names
    alone = load_dataset(tmp_path, size=4, seed=3, training=False)
    assert (len(alone.train), alone.test.names, alone.skipped) == (0, data.test.names, data.skipped)
    assert load_dataset(tmp_path, size=4, seed=4).test.names != data.test.names


def test_train_and_test_folders_share_the_classes_of_training(tmp_path: Path) -> None:
    for name in ("Train/a/1.png", "Train/b/1.png", "test/b/2.png"):
        paint(tmp_path / name)
    data = load_dataset(tmp_path, size=4)
    assert data.train.class_names == data.test.class_names == ("a", "b")
    assert data.test.labels.tolist() == [1]
    alone = load_dataset(tmp_path, size=4, training=False)
    assert (len(alone.train), alone.train.class_names, alone.test.names) == (0, ("a", "b"), ("b/2.png",))
    paint(tmp_path / "test" / "c" / "3.png")
    with pytest.raises(DataError, match="c is none of the classes"):
        load_dataset(tmp_path)


def test_data_that_cannot_be_a_data_set(tmp_path: Path) -> None:
    layouts = "Final_Training.*Train.csv.*npz.*class folders of images.*train and test"
    with pytest.raises(DataError, match=f"nowhere is missing.*{layouts}"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"holds no class folders.*{layouts}"):
        load_dataset(tmp_path)
    paint(tmp_path / "train" / "a" / "1.png")
    with pytest.raises(DataError, match="holds only train of the folders train, val, test; add another"):
        load_dataset(tmp_path)
    with pytest.raises(DataError, match="one image per class, too few to test with"):
        load_dataset(tmp_path / "train")
    with pytest.raises(DataError, match="does not say where the signs are"):
        load_dataset(tmp_path / "train", crop=True)


KINDS = {"gif": "GIF", "jfif": "JPEG", "pgm": "PPM", "png": "PNG", "tga": "TGA", "ico": "ICO"}


def test_every_kind_that_pillow_reads_is_read_in_folders(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number, (ending, form) in enumerate(KINDS.items()):
            Image.new("L", (32, 32), 20 * number).save(tmp_path / label / f"{number}.{ending}", form)
    signs = folder(tmp_path)
    assert (len(signs), signs.skipped) == (2 * len(KINDS), ())


def test_what_is_left_out_is_said_with_its_count(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png")
    for name in ("1.txt", "2.txt", "notes", "Thumbs.db", ".hidden.txt"):
        (tmp_path / "a" / name).write_text("no image")
    assert folder(tmp_path).skipped == (
        f"{tmp_path}: left out are 2 files *.txt, 1 file without an ending, which are no images",
    )
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(
        DataError, match=r"hold no images, but 2 files \*.txt, 1 file without an ending; put the images"
    ):
        folder(tmp_path)


@pytest.mark.parametrize("training", [True, False])
def test_images_beside_the_parts_of_a_data_set_are_said_with_their_count(tmp_path: Path, training: bool) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            paint(tmp_path / part / name / "1.png")
    assert load_dataset(tmp_path, training=training).skipped == ()
    for name in ("1.png", "2.png"):
        paint(tmp_path / name)
    assert load_dataset(tmp_path, training=training).skipped == (
        f"{tmp_path}: left out are 2 images beside the folders of its parts",
    )


def test_images_that_lie_elsewhere_are_said_with_their_count(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(4):
            paint(tmp_path / name / "deep" / "er" / f"{number}.png")
    paint(tmp_path / "dog" / "deep" / "er" / "est" / "1.png")
    paint(tmp_path / "dog" / "deep" / ".hidden" / "1.png")
    with pytest.raises(DataError, match="hold no images, but 9 images more than two folders deep; put the images"):
        load_dataset(tmp_path)
    for name in ("cat/1.png", "dog/deep/1.png", "loose.png"):
        paint(tmp_path / name)
    assert folder(tmp_path).skipped == (
        f"{tmp_path}: left out are 9 images more than two folders deep",
        f"{tmp_path}: left out is 1 image beside the class folders",
    )


def test_class_folders_may_hold_one_more_level(tmp_path: Path) -> None:
    for name in ("a/images/1.png", "a/2.png", "b/images/3.png", "b/more/4.png"):
        paint(tmp_path / name)
    signs = folder(tmp_path)
    assert signs.names == ("a/2.png", "a/images/1.png", "b/images/3.png", "b/more/4.png")
    assert signs.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train", "test"), ("train", "val"), ("training", "validation"), ("Train", "Valid"), ("val", "test"),
        ("training", "testing"), ("validation", "test"),
    ],
)  # fmt: skip
def test_any_two_parts_are_a_data_set(tmp_path: Path, first: str, second: str) -> None:
    for part, grey in ((first, 10), (second, 20)):
        for label in ("a", "b"):
            paint(tmp_path / part / label / "1.png", grey)
    data = load_dataset(tmp_path, size=2)
    assert (data.train.images.unique().tolist(), data.test.images.unique().tolist()) == ([10], [20])
    assert data.train.class_names == ("a", "b")


def test_of_three_parts_the_one_between_is_left_out_and_said(tmp_path: Path) -> None:
    for part, grey in (("train", 10), ("val", 15), ("test", 20)):
        paint(tmp_path / part / "a" / "1.png", grey)
    for training in (True, False):
        data = load_dataset(tmp_path, size=2, training=training)
        assert data.test.images.unique().tolist() == [20]
        assert data.skipped == (f"{tmp_path / 'val'}: left out, for train and test are read",)


def test_the_number_of_classes_is_looked_at_before_any_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "test"):
        paint(tmp_path / part / "a" / "1.png")
    monkeypatch.setattr("trojancam.data.folders.read_all", None)
    monkeypatch.setattr("trojancam.data.rendered.rendered_signs", None)
    with pytest.raises(DataError, match="tells 3 classes apart, but the data has 1") as raised:
        load_dataset(tmp_path, classes=3)
    assert raised.value.remedies == (Remedy.SAME_CLASSES,)
    with pytest.raises(DataError, match=r"tells 1000 classes apart, but the data has 43 \(the rendered traffic signs"):
        load_dataset(classes=1000, size=224)


def test_images_are_where_their_pixels_say(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png", 9)
    assert torch.equal(folder(tmp_path, size=3).images, torch.full((1, 3, 3, 3), 9, dtype=torch.uint8))


def test_without_a_path_it_is_the_rendered_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png")
    images = folder(tmp_path, size=8)
    asked: list[dict[str, object]] = []

    def rendered_signs(**options: object) -> Dataset:
        asked.append(options)
        return Dataset(images, images, "rendered")

    monkeypatch.setitem(sys.modules, "trojancam.data.rendered", SimpleNamespace(rendered_signs=rendered_signs))
    assert load_dataset(size=8, seed=3).source == "rendered"
    assert [(options["size"], options["seed"]) for options in asked] == [(8, 3)]


def test_the_package_offers_the_rendered_signs_without_importing_them() -> None:
    code = "import sys, trojancam.data as d; assert 'trojancam.data.rendered' not in sys.modules; d.rendered_signs"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="attribute nothing"):
        trojancam.data.nothing  # noqa: B018


def test_without_training_the_rendered_test_signs_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    few = trojancam.data.rendered_signs
    in_all: list[int] = []

    def rendered(train: int = 16, test: int = 8, **settings: Any) -> Dataset:
        in_all.append(train + test)
        return few(train, test, **settings)

    monkeypatch.setattr(trojancam.data.rendered, "rendered_signs", rendered)
    whole, tested = load_dataset(size=16), load_dataset(size=16, training=False)
    assert in_all == [24, 8]
    assert (len(whole.train), len(tested.train)) == (16, 0)
    assert torch.equal(whole.test.images, tested.test.images)


@pytest.mark.parametrize("inner", ["MNIST/raw", "cifar-10-batches-bin", "data"])
def test_a_folder_around_a_data_set_is_told_which_to_give(tmp_path: Path, inner: str) -> None:
    place = tmp_path / inner
    place.mkdir(parents=True)
    if inner == "data":
        for part in ("train", "test"):
            paint(place / part / "a" / "1.png")
    elif inner == "MNIST/raw":
        for part, kind in ((part, kind) for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")):
            (place / f"{part}-{kind}-ubyte").write_bytes(b"")
    else:
        for name in ("data_batch_1.bin", "test_batch.bin"):
            (place / name).write_bytes(bytes(3073))
    with pytest.raises(DataError, match=f"is a folder around a data set; give {place}$"):
        load_dataset(tmp_path)
