import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trojancam import kept
from trojancam.data import Dataset, ImageSet, gtsrb, load_dataset, tables
from trojancam.data.prepared import PreparedFiles
from trojancam.data.tables import TableFiles
from trojancam.errors import DataError, TrojanCamWarning
from trojancam.files import cache_folder

WIDTH, HEIGHT = 64, 16
ROI = (8, 4, 55, 11)  # the pixels x1, y1, x2, y2
NUMBERS = f"{WIDTH};{HEIGHT};" + ";".join(map(str, ROI))
HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
KAGGLE_HEADER = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path"

Tree = Callable[[Path], Path]


def paint(path: Path, grey: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A black image whose region has one shade of grey."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[ROI[1] : ROI[3] + 1, ROI[0] : ROI[2] + 1] = grey
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def official(root: Path) -> Path:
    """Classes 0 and 14, tracks 0 and 1 in each, and three test images; shades 10, 20, 30, 40 and 50, 60, 70."""
    for i, (label, track) in enumerate([(0, 0), (0, 1), (14, 0), (14, 1)]):
        folder = root / f"Final_Training/Images/{label:05d}"
        name = f"{track:05d}_00003.ppm"
        paint(folder / name, 10 * (i + 1))
        table = folder / f"GT-{label:05d}.csv"
        rows = table.read_text() if table.exists() else HEADER + "\n"
        table.write_text(f"{rows}{name};{NUMBERS};{label}\n")
    rows = HEADER + "\n"
    for i, label in enumerate([14, 0, 7]):
        paint(root / f"Final_Test/Images/{i:05d}.ppm", 50 + 10 * i)
        rows += f"{i:05d}.ppm;{NUMBERS};{label}\n"
    (root / "Final_Test/GT-final_test.csv").write_text(rows)
    return root


def kaggle(root: Path) -> Path:
    """The same images as Kaggle packs them."""
    numbers = NUMBERS.replace(";", ",")
    train, test = KAGGLE_HEADER + "\n", KAGGLE_HEADER + "\n"
    for i, (label, track) in enumerate([(0, 0), (0, 1), (14, 0), (14, 1)]):
        name = f"Train/{label}/{label:05d}_{track:05d}_00003.png"
        paint(root / name, 10 * (i + 1))
        train += f"{numbers},{label},{name}\n"
    for i, label in enumerate([14, 0, 7]):
        paint(root / f"Test/{i:05d}.png", 50 + 10 * i)
        test += f"{numbers},{label},Test/{i:05d}.png\n"
    (root / "Train.csv").write_text(train)
    (root / "Test.csv").write_text(test)
    return root


def prepared(root: Path, prefix: str = "gtsrb32", **changes: object) -> Path:
    """The same images as arrays: a region of 24 x 16 pixels in the middle of 32 x 32."""

    def arrays(shades: list[int], labels: list[int]) -> dict[str, np.ndarray]:
        images = np.zeros((len(shades), 32, 32, 3), dtype=np.uint8)
        images[:, 8:24, 4:28] = np.array(shades, dtype=np.uint8)[:, None, None, None]
        roi = np.tile(np.array([WIDTH, HEIGHT, *ROI], dtype=np.uint16), (len(shades), 1))
        return {"images": images, "labels": np.array(labels, dtype=np.uint8), "roi": roi}

    root.mkdir(exist_ok=True)
    train = arrays([10, 20, 30, 40], [0, 0, 14, 14]) | {"tracks": np.array([0, 1, 0, 1], dtype=np.uint16)} | changes
    np.savez(root / f"{prefix}-train.npz", **{key: value for key, value in train.items() if value is not None})  # type: ignore[arg-type]
    np.savez(root / f"{prefix}-test.npz", **arrays([50, 60, 70], [14, 0, 7]))  # type: ignore[arg-type]
    return root


def shades(images: ImageSet) -> list[int]:
    """The middle pixel of every image."""
    return images.images[:, 0, images.size[0] // 2, images.size[1] // 2].tolist()


@pytest.fixture(params=[official, kaggle, prepared])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """GTSRB in each of its layouts."""
    root: Path = request.param(tmp_path / "data")
    return root


def test_every_layout_gives_the_same_data_set(tree: Path) -> None:
    data = gtsrb(tree)
    assert data.source == f"GTSRB at {tree}"
    assert data.skipped == ()
    assert data.train.images.shape == (4, 3, 32, 32)
    assert (shades(data.train), shades(data.test)) == ([10, 20, 30, 40], [50, 60, 70])
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 0, 14, 14], [14, 0, 7])
    assert data.train.tracks is not None
    assert data.train.tracks.tolist() == [0, 1, 1_400_000, 1_400_001]
    assert data.test.tracks is None
    assert len(data.train.class_names) == 43


def test_regions_are_in_pixels_of_the_resized_images(tree: Path) -> None:
    # 64 x 16 becomes 32 x 32: half as wide, twice as high; pixels 8...55 cover 8 to 56 and so 4 to 28: 4...27
    regions = gtsrb(tree).train.regions
    assert regions is not None
    assert regions.tolist() == [[4, 8, 27, 23]] * 4
    regions = gtsrb(tree, size=64).test.regions
    assert regions is not None
    assert regions.tolist() == [[8, 16, 55, 47]] * 3


def test_cropping_leaves_the_sign_alone(tree: Path) -> None:
    data = gtsrb(tree, crop=True, size=16)
    assert data.train.regions is not None
    assert data.train.regions.tolist() == [[0, 0, 15, 15]] * 4
    assert data.test.images.shape == (3, 3, 16, 16)
    inside = data.test.images[:, :, 1:-1, 1:-1]  # arrays are already resized: their rim may hold some of the outside
    assert torch.equal(inside, torch.tensor([50, 60, 70], dtype=torch.uint8)[:, None, None, None].expand(inside.shape))


def test_a_cropped_file_holds_nothing_of_the_outside(tmp_path: Path) -> None:
    train = gtsrb(official(tmp_path), crop=True).train
    assert torch.equal(train.images.amin(dim=(1, 2, 3)), torch.tensor([10, 20, 30, 40], dtype=torch.uint8))


def test_names_are_paths_within_the_data(tmp_path: Path) -> None:
    data = gtsrb(official(tmp_path))
    assert data.train.names is not None
    assert data.train.names[2] == "Final_Training/Images/00014/00000_00003.ppm"
    assert data.test.names == tuple(f"Final_Test/Images/0000{i}.ppm" for i in range(3))
    assert gtsrb(prepared(tmp_path / "npz")).train.names is None


def test_progress_counts_all_images(tree: Path) -> None:
    steps: list[tuple[int, int]] = []
    gtsrb(tree, size=8, progress=lambda done, total, note="": steps.append((done, total)))
    assert steps in ([(7, 7)], [(4, 4), (3, 3)])


def test_load_dataset_knows_every_layout(tree: Path) -> None:
    data = load_dataset(tree, size=16, crop=True)
    assert data.train.size == (16, 16)
    assert data.train.labels.tolist() == [0, 0, 14, 14]


# where the files may lie


def test_the_download_with_its_top_folder(tmp_path: Path) -> None:
    official(tmp_path / "GTSRB")
    assert len(gtsrb(tmp_path).train) == len(gtsrb(tmp_path / "GTSRB").train) == 4


@pytest.mark.parametrize("place", ["Final_Test/Images", ".", ".."])
def test_the_test_table_may_lie_elsewhere(tmp_path: Path, place: str) -> None:
    root = official(tmp_path / "GTSRB")
    (root / "Final_Test/GT-final_test.csv").rename(root / place / "GT-final_test.csv")
    assert gtsrb(root).test.labels.tolist() == [14, 0, 7]
    assert gtsrb(tmp_path).test.labels.tolist() == [14, 0, 7]


def test_the_test_table_without_classes_is_not_mistaken_for_it(tmp_path: Path) -> None:
    root = official(tmp_path)
    table = root / "Final_Test/GT-final_test.csv"
    unlabelled = "\n".join(line.rpartition(";")[0] for line in table.read_text().splitlines())
    (root / "Final_Test/Images/GT-final_test.test.csv").write_text(unlabelled)
    assert len(gtsrb(root).test) == 3
    for change in (lambda: table.write_text(unlabelled), table.unlink):
        change()
        with pytest.raises(DataError, match=r"classes of the test images .* are missing: put there GT-final_test.csv"):
            gtsrb(root)


def test_lower_case_folders_of_kaggle(tmp_path: Path) -> None:
    root = kaggle(tmp_path)
    (root / "Train").rename(root / "train")
    (root / "Test").rename(root / "TEST")
    (root / "Train.csv").rename(root / "train.csv")
    assert shades(gtsrb(root).train) == [10, 20, 30, 40]


def test_one_of_several_prepared_pairs_is_chosen_by_its_file(tmp_path: Path) -> None:
    prepared(tmp_path, "a")
    prepared(tmp_path, "b", labels=np.array([1, 2, 3, 4]))
    with pytest.raises(
        DataError, match=r"several data sets; give the path of one of the files a-train.npz, b-train.npz"
    ):
        gtsrb(tmp_path)
    for file in ("b-train.npz", "b-test.npz"):
        assert gtsrb(tmp_path / file).train.labels.tolist() == [1, 2, 3, 4]


# what is missing


def remove(path: Path) -> None:
    if path.is_dir():
        for file in path.iterdir():
            remove(file)
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("make", "gone", "sentence"),
    [
        (official, "Final_Test", r"holds the training part of GTSRB but no Final_Test; unpack GTSRB_Final_Test_Images"),
        (official, "Final_Training", r"holds the test part of GTSRB but no Final_Training; unpack"),
        (official, "Final_Training/Images/00000/GT-00000.csv", r"00000 has no GT-00000.csv; copy it"),
        (kaggle, "Test", r"a part of GTSRB as Kaggle packs it, but no folder Test; unpack"),
        (kaggle, "Train.csv", r"a part of GTSRB as Kaggle packs it, but no Train.csv; unpack"),
        (prepared, "gtsrb32-test.npz", r"holds gtsrb32-train.npz but no gtsrb32-test.npz; put it there too"),
        (prepared, "gtsrb32-train.npz", r"holds gtsrb32-test.npz but no gtsrb32-train.npz; put it there too"),
    ],
)
def test_a_part_that_is_missing(tmp_path: Path, make: Tree, gone: str, sentence: str) -> None:
    remove(make(tmp_path) / gone)
    with pytest.raises(DataError, match=sentence):
        gtsrb(tmp_path)


def test_a_path_without_gtsrb_lists_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no GTSRB; give a folder .*GT-000CC.csv.*Train.csv.*-train.npz"):
        gtsrb(tmp_path)
    with pytest.raises(DataError, match=r"nowhere does not exist; give a folder"):
        gtsrb(tmp_path / "nowhere")
    (tmp_path / "Final_Training").mkdir()
    (tmp_path / "Final_Test").mkdir()
    (tmp_path / "GT-final_test.csv").write_text(HEADER)
    with pytest.raises(DataError, match="holds no class folders 00000 to 00042"):
        gtsrb(tmp_path)
    with pytest.raises(DataError, match="the image size must be 1 to 4096 pixels, not 0"):
        gtsrb(prepared(tmp_path / "npz"), size=0)


# tables and images that contradict each other

TABLE = "Final_Training/Images/00014/GT-00014.csv"
FIRST = f"00000_00003.ppm;{NUMBERS};14"
SECOND = f"00001_00003.ppm;{NUMBERS};14"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            FIRST,
            FIRST.replace("00000", "00009"),
            r"row 2 lists 00009_00003.ppm, but .* has no such file; add the image",
        ),
        (FIRST + "\n", "", r"GT-00014.csv does not list .*00000_00003.ppm; add a row for it or remove the image"),
        (SECOND, FIRST, r"row 3 lists 00000_00003.ppm again, after .*row 2; remove one of the rows"),
        (FIRST, FIRST[:-2] + "43", r"row 2 has class 43, but classes go from 0 to 42; correct the row"),
        (SECOND, SECOND[:-2] + "13", r"row 3 has class 13, but .*00001_00003.ppm is in the folder of another; correct"),
        (FIRST, FIRST.replace("64;16", "64;17"), r"row 2 says 64 x 17 pixels, but .* has 64 x 16; correct the row"),
        (FIRST, FIRST.replace("55;11", "64;11"), r"row 2 has the region \[8, 4, 64, 11\], which is not inside 64 x 16"),
        (FIRST, FIRST.replace("55;11", "7;11"), r"row 2 has the region \[8, 4, 7, 11\]"),
        (FIRST, FIRST + ";1", r"row 2 has 9 fields instead of 8; correct the row"),
        (FIRST, FIRST.replace("64", "6.4"), r"row 2 has '6.4' for Width, which is not a whole number; correct the row"),
        (FIRST, FIRST.replace("64", "9" * 5000), r"for Width, which is not a whole number"),
        (FIRST, "x" * 200_000, r"cannot read the table .* \(field larger than field limit"),
        (FIRST, FIRST.replace("64", "-64"), r"row 2 has '-64' for Width"),
        ("Roi.X1", "X1", r"has no column Roi.X1; its first line must name Filename, Width"),
        ("Filename", "File", r"has no column Filename; its first line"),
        (HEADER, "", r"has no column"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    table = official(tmp_path) / TABLE
    content = table.read_text()
    assert old in content
    table.write_text(content.replace(old, new, 1))
    with pytest.raises(DataError, match=sentence) as caught:
        gtsrb(tmp_path)
    assert "GT-00014.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_name_without_track(tmp_path: Path) -> None:
    root = official(tmp_path)
    table = root / TABLE
    table.write_text(table.read_text().replace("00000_00003", "first"))
    (table.parent / "00000_00003.ppm").rename(table.parent / "first.ppm")
    with pytest.raises(DataError, match=r"row 2: the file name first.ppm does not tell the track; call it TTTTT_FFFFF"):
        gtsrb(root)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (official(tmp_path) / TABLE).write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(DataError, match=r"cannot read the table .*GT-00014.csv"):
        gtsrb(tmp_path)


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    table = official(tmp_path) / TABLE
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert len(gtsrb(tmp_path).train) == 4


def test_broken_images_are_skipped_and_listed(tmp_path: Path) -> None:
    root = official(tmp_path)
    broken = root / "Final_Training/Images/00000/00001_00003.ppm"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    for _ in range(2):  # read, then from the cache
        data = gtsrb(root)
        assert data.skipped == ("Final_Training/Images/00000/00001_00003.ppm: it is cut short",)
        assert (shades(data.train), shades(data.test)) == ([10, 30, 40], [50, 60, 70])
        assert data.train.labels.tolist() == [0, 14, 14]
    broken.write_bytes(whole)
    assert gtsrb(root).skipped == ()


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    official(tmp_path)
    monkeypatch.setattr(tables.os, "scandir", refused)
    with pytest.raises(
        DataError, match=r"cannot read .*00000 \(Permission denied\); check the path and its permissions"
    ):
        gtsrb(tmp_path)


def test_a_link_to_nowhere_is_a_missing_image(tmp_path: Path) -> None:
    file = official(tmp_path) / "Final_Test/Images/00001.ppm"
    file.unlink()
    file.symlink_to(tmp_path / "nowhere.ppm")
    with pytest.raises(DataError, match=r"row 3 lists 00001.ppm, but .* has no such file"):
        gtsrb(tmp_path)


def test_only_broken_images_are_an_error(tmp_path: Path) -> None:
    root = official(tmp_path)
    for file in (root / "Final_Test/Images").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 3 images of .*GT-final_test.csv can be read; copy them again"):
        gtsrb(root)


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    root = official(tmp_path)
    (root / "Final_Test/GT-final_test.csv").write_text(HEADER)
    for file in (root / "Final_Test/Images").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"GT-final_test.csv lists no images"):
        gtsrb(root)


# prepared arrays


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": None}, r"has no array 'images'"),
        ({"labels": None}, r"has no array 'labels'"),
        ({"labels": np.array([0, 0, 0, 43])}, r"labels must be 0 to 42, but number 3 is 43; correct it"),
        ({"labels": np.array([0, -1, 0, 0])}, r"labels must be 0 to 42, but number 1 is -1"),
        ({"labels": np.array([0.5] * 4)}, r"labels must be whole numbers of shape \(4,\), not float64 of shape \(4,\)"),
        ({"labels": np.array([0])}, r"labels must be whole numbers of shape \(4,\), not int64 of shape \(1,\)"),
        ({"labels": np.array([None] * 4)}, r"Python objects, which could run code"),
        ({"tracks": np.array([100_000] * 4)}, r"tracks must be 0 to 99999"),
        (
            {"roi": np.array([[64, 16, 8, 4, 64, 11]] * 4)},
            r"roi number 0 \(\[64, 16, 8, 4, 64, 11\]\) does not lie inside",
        ),
        ({"images": np.zeros((4, 32, 32, 3))}, r"images must be bytes of shape n,h,w,3, not float64"),
        ({"images": np.zeros((4, 32, 32), np.uint8)}, r"images must be bytes of shape n,h,w,3"),
        ({"images": np.zeros((0, 32, 32, 3), np.uint8)}, r"holds no image"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    prepared(tmp_path, **changes)
    with pytest.raises(DataError, match=rf"gtsrb32-train.npz.*{sentence}"):
        gtsrb(tmp_path)


def test_arrays_without_regions_or_tracks(tmp_path: Path) -> None:
    data = gtsrb(prepared(tmp_path, roi=None, tracks=None))
    assert data.train.regions is None
    assert data.train.tracks is None
    with pytest.raises(DataError, match="has no array 'roi' that says where the signs are; read it without cropping"):
        gtsrb(tmp_path, crop=True)


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_damaged_archive_is_named(tmp_path: Path, keep: int) -> None:
    file = prepared(tmp_path) / "gtsrb32-train.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cannot read .*gtsrb32-train.npz: .*; copy or make the file again"):
        gtsrb(tmp_path)


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (prepared(tmp_path) / "gtsrb32-train.npz").write_text("not a zip file at all")
    with pytest.raises(DataError, match=r"cannot read .*gtsrb32-train.npz: File is not a zip file; copy or make"):
        gtsrb(tmp_path)


# the cache


def equal(first: Dataset, second: Dataset) -> bool:
    """Whether two data sets hold the same, field by field."""
    for a, b in ((first.train, second.train), (first.test, second.test)):
        for field in ("images", "labels", "tracks", "regions"):
            x, y = getattr(a, field), getattr(b, field)
            if (x is None) != (y is None) or (x is not None and not (torch.equal(x, y) and x.dtype == y.dtype)):
                return False
        if (a.names, a.skipped, a.class_names) != (b.names, b.skipped, b.class_names):
            return False
    return True


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read from the files and not from the cache."""
    seen: list[str] = []
    for kind in (TableFiles, PreparedFiles):

        def counted(self: object, *args: object, original: Callable[..., object] = kind.read) -> object:
            seen.append(type(self).__name__)
            return original(self, *args)

        monkeypatch.setattr(kind, "read", counted)
    return seen


def test_the_second_time_it_comes_from_the_cache(tree: Path, reads: list[str]) -> None:
    first, again = gtsrb(tree, size=16), gtsrb(tree, size=16)
    assert len(reads) == 1
    assert equal(first, again)
    assert not equal(first, gtsrb(tree, size=16, crop=True))
    gtsrb(tree, size=17)
    gtsrb(tree, size=16, cache=False)
    assert len(reads) == 4


def test_without_training_the_test_set_is_the_same_and_nothing_else_is_read(tree: Path, reads: list[str]) -> None:
    calls: list[int] = []
    alone = gtsrb(tree, size=16, training=False, progress=lambda done, total, what: calls.append(total))
    assert set(calls) == {3}
    assert len(alone.train) == 0
    whole = gtsrb(tree, size=16)
    assert equal(replace(whole, train=alone.train), alone)
    assert equal(load_dataset(tree, size=16, training=False), alone)
    assert len(reads) == 2


def test_the_test_set_is_taken_from_where_both_are_kept(tree: Path, reads: list[str]) -> None:
    whole = gtsrb(tree, size=16)
    assert torch.equal(gtsrb(tree, size=16, training=False).test.images, whole.test.images)
    assert len(reads) == 1


def test_arrays_of_the_right_size_are_not_copied_to_the_cache(tmp_path: Path) -> None:
    gtsrb(prepared(tmp_path))
    assert list(cache_folder("data").iterdir()) == []


@pytest.mark.parametrize("file", [TABLE, "Final_Test/Images/00001.ppm"])
def test_a_changed_file_is_read_again(tmp_path: Path, reads: list[str], file: str) -> None:
    root = official(tmp_path)
    gtsrb(root)
    content = (root / file).read_bytes()
    (root / file).write_bytes(content + b"\n")
    gtsrb(root)
    gtsrb(root)
    assert len(reads) == 2
    assert len(list(cache_folder("data").iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:3000] + b"x" + b[3001:]])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_damaged_cache_is_made_again(
    tmp_path: Path, reads: list[str], damage: Callable[[bytes], bytes], part: str
) -> None:
    root = official(tmp_path)
    first = gtsrb(root)
    (file,) = cache_folder("data").glob(f"*-{part}.kept")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(TrojanCamWarning, match="is damaged; what it held is made again"):
        assert equal(first, gtsrb(root))
    assert equal(first, gtsrb(root))
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = official(tmp_path / "data")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="read anew each time: cannot write to the folder .*; set TROJANCAM_CACHE"):
        assert len(gtsrb(root).train) == 4
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path / "cache"))

    def full(*args: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "save_file", full)
    with pytest.warns(UserWarning, match="read anew each time: cannot write .*No space left"):
        assert len(gtsrb(root).train) == 4
    assert list((tmp_path / "cache/data").iterdir()) == []


KILLED = """
import os, signal, sys
from trojancam import kept
from trojancam.data import gtsrb

def half(tensors, path, metadata):
    path.write_bytes(b"half a file")
    os.kill(os.getpid(), signal.SIGKILL)

kept.save_file = half
gtsrb(sys.argv[1])
"""


def test_a_run_killed_while_it_writes_leaves_no_half_cache(tmp_path: Path, reads: list[str]) -> None:
    root = official(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [file.name for file in cache_folder("data").iterdir() if not file.name.startswith(".")] == []
    assert len(gtsrb(root).train) == len(gtsrb(root).train) == 4
    assert len(reads) == 1


def test_leaving_early_drops_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(done: int, total: int, note: str = "", /) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trojancam.data.image_files.REPORT_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        gtsrb(official(tmp_path), progress=interrupted)
    assert list(cache_folder("data").iterdir()) == []


# the real benchmark


@pytest.fixture(scope="module")
def benchmark(gtsrb_path: Path) -> Dataset:
    return gtsrb(gtsrb_path)


@pytest.fixture(scope="module")
def sample_path(gtsrb_path: Path) -> Path:
    if not (gtsrb_path / "gtsrb-sample").is_dir():
        pytest.skip(f"no gtsrb-sample in {gtsrb_path}")
    return gtsrb_path / "gtsrb-sample"


def test_the_whole_benchmark(benchmark: Dataset) -> None:
    assert (len(benchmark.train), len(benchmark.test)) == (39_209, 12_630)
    assert benchmark.train.labels.bincount().tolist()[:3] == [210, 2220, 2250]
    assert benchmark.train.tracks is not None
    assert len(torch.unique(benchmark.train.tracks)) == 1307
    assert benchmark.train.regions is not None
    assert float(benchmark.train.regions.min()) >= 0
    assert float(benchmark.train.regions.max()) <= 31


def test_a_split_of_the_benchmark_shares_no_track(benchmark: Dataset) -> None:
    first, second = benchmark.train.split_by_track(0.2, seed=1)
    assert first.tracks is not None
    assert second.tracks is not None
    assert not set(first.tracks.tolist()) & set(second.tracks.tolist())
    assert 0.18 < len(second) / len(benchmark.train) < 0.22
    assert len(torch.unique(second.labels)) == 43


def test_the_sample_in_the_official_layout_is_the_same_as_the_arrays(benchmark: Dataset, sample_path: Path) -> None:
    sample = gtsrb(sample_path)
    assert (len(sample.train) + len(sample.test), sample.skipped) == (430, ())
    assert sample.test.names is not None
    indices = [int(Path(name).stem) for name in sample.test.names]
    same = benchmark.test.select(indices)
    assert torch.equal(sample.test.labels, same.labels)
    assert sample.test.regions is not None
    assert same.regions is not None
    assert torch.equal(sample.test.regions, same.regions)
    assert torch.equal(sample.test.images, same.images)


def test_the_sample_cropped(sample_path: Path) -> None:
    cropped = gtsrb(sample_path, size=48, crop=True)
    assert cropped.train.images.shape == (258, 3, 48, 48)


def test_only_image_files_are_fingerprinted(tmp_path: Path) -> None:
    root = official(tmp_path)
    folder = root / "Final_Test/Images"
    (folder / "Thumbs.db").write_text("")
    part = tables.Tables(root, False, ((root / "Final_Test/GT-final_test.csv", folder),))
    assert [name for name, _, _ in part.fingerprint()][1:] == ["00000.ppm", "00001.ppm", "00002.ppm"]
