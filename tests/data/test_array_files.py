"""Data sets in arrays and in tables: the pixels and labels that went in come out, and damage is a sentence."""

import gzip
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trojancam.data import load_dataset
from trojancam.errors import DataError

COUNTS = (20, 10)
DRAW = np.random.default_rng(0)
GREY = [DRAW.integers(0, 256, (count, 8, 8), dtype=np.uint8) for count in COUNTS]
COLOURS = [DRAW.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8) for count in COUNTS]
LABELS = [np.arange(count) % 5 for count in COUNTS]


def idx(path: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def mnist(place: Path, ending: str = "") -> Path:
    for part, images, labels in zip(("train", "t10k"), GREY, LABELS, strict=True):
        idx(place / f"{part}-images-idx3-ubyte{ending}", images)
        idx(place / f"{part}-labels-idx1-ubyte{ending}", labels)
    return place


def keras_mnist(place: Path) -> Path:
    arrays = {"x_train": GREY[0], "y_train": LABELS[0], "x_test": GREY[1], "y_test": LABELS[1]}
    np.savez_compressed(place / "mnist.npz", **arrays)
    return place / "mnist.npz"


def separate(place: Path) -> Path:
    for part, images, labels in zip(("train", "test"), GREY, LABELS, strict=True):
        np.save(place / f"{part}_images.npy", images)
        np.save(place / f"{part}_labels.npy", labels[:, None])
    return place


@pytest.mark.parametrize("write", [mnist, lambda place: mnist(place, ".gz"), keras_mnist, separate])
def test_grey_images_come_out_as_they_went_in(write: Callable[[Path], Path], tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path), size=8, classes=5)
    for images, pixels, labels in zip((data.train, data.test), GREY, LABELS, strict=True):
        assert torch.equal(images.images, torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1))
        assert images.labels.tolist() == labels.tolist()
        assert images.class_names == ("0", "1", "2", "3", "4")
    alone = load_dataset(write(tmp_path), size=8, training=False)
    assert (len(alone.train), torch.equal(alone.test.images, data.test.images)) == (0, True)


@pytest.mark.parametrize(
    "store",
    [
        lambda images: images,
        lambda images: images.transpose(0, 3, 1, 2),
        lambda images: images.astype(np.float32) / 255,
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.int64),
    ],
)
def test_colours_are_read_however_they_are_stored(store: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=store(COLOURS[0]), labels=LABELS[0])
    data = load_dataset(tmp_path / "x.npz", size=8, class_names=list("abcde"))
    assert (len(data.train), len(data.test), data.test.class_names) == (15, 5, tuple("abcde"))
    given = {(image.tobytes(), int(label)) for image, label in zip(COLOURS[0], LABELS[0], strict=True)}
    read = [(image.permute(1, 2, 0).contiguous().numpy().tobytes(), int(label)) for part in (data.train, data.test)
            for image, label in zip(part.images, part.labels, strict=True)]  # fmt: skip
    assert set(read) == given


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_cifar(tmp_path: Path, label_bytes: int) -> None:
    images = DRAW.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    labels = np.array([3, 1, 0, 2, 1, 3], np.uint8)
    coarse = np.full((6, label_bytes - 1), 9, np.uint8)
    records = np.concatenate([coarse, labels[:, None], images.reshape(6, -1)], axis=1)
    names = {1: ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"), 2: ("train.bin", "test.bin")}[label_bytes]
    for name in names:
        records.tofile(tmp_path / name)
    (tmp_path / {1: "batches.meta.txt", 2: "fine_label_names.txt"}[label_bytes]).write_text("a\nb\nc\nd\n\n")
    data = load_dataset(tmp_path, size=32, classes=4)
    assert torch.equal(data.test.images, torch.from_numpy(images))
    assert (data.test.labels.tolist(), data.test.class_names) == (labels.tolist(), ("a", "b", "c", "d"))
    assert len(data.train) == 6 * (len(names) - 1)
    with pytest.raises(DataError, match="tells 10 classes apart, but the data has 4"):
        load_dataset(tmp_path, classes=10)
    with (tmp_path / names[-1]).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="is no whole file of CIFAR"):
        load_dataset(tmp_path)


def test_what_is_damaged_or_no_images_is_refused(tmp_path: Path) -> None:
    def refused(says: str, **arrays: np.ndarray) -> None:
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(DataError, match=says):
            load_dataset(tmp_path / "x.npz", classes=5)

    labels = LABELS[0]
    refused("but no images and labels", weights=GREY[0])
    refused("images must be of shape", images=np.zeros((20, 64)), labels=labels)
    refused("pixels run from -1 to 1", images=COLOURS[0] / 127.5 - 1, labels=labels)
    refused("pixels run from nan", images=np.full((20, 8, 8), np.nan), labels=labels)
    refused("labels must be 20 whole numbers", images=GREY[0], labels=labels[:3])
    refused("labels must be 20 whole numbers", images=GREY[0], labels=labels / 2)
    refused("labels to 1000000000000000004, but at most 100000 classes", images=GREY[0], labels=labels + 10**18)
    refused("labels to 18446744073709551615", images=GREY[0], labels=np.full(20, 2**64 - 1, np.uint64))
    refused("Python objects, which could run code", images=np.array([[None]] * 20), labels=labels)
    refused("tells 5 classes apart, but the data has 10", images=GREY[0], labels=labels + 5)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:  # NumPy gives the bytes of what is no array
        archive.writestr("images", GREY[0].tobytes())
        archive.writestr("labels", labels.tobytes())
    with pytest.raises(DataError, match="something else than arrays under their names"):
        load_dataset(tmp_path / "x.npz", classes=5)
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="cannot read"):
        load_dataset(tmp_path / "x.npz")
    np.save(tmp_path / "images.npy", GREY[0])
    with pytest.raises(DataError, match="there are no labels beside"):
        load_dataset(tmp_path / "images.npy")
    np.save(tmp_path / "labels.npy", labels)
    assert len(load_dataset(tmp_path / "images.npy").test) == 5


def test_damaged_mnist_and_pickled_cifar(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(DataError, match="is no whole IDX file"):
        load_dataset(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="has no t10k-images file"):
        load_dataset(tmp_path)
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="Python pickles, which could run code; get its binary version"):
        load_dataset(tmp_path)


def test_a_flipped_bit_in_packed_mnist_is_a_sentence(tmp_path: Path) -> None:
    file = mnist(tmp_path, ".gz") / "train-images-idx3-ubyte.gz"
    whole = bytearray(file.read_bytes())
    for place in range(10, len(whole), 40):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(DataError, match="cannot read|is no whole IDX file"):
            load_dataset(tmp_path)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_file_of_mnist_that_ends_early_is_a_sentence(tmp_path: Path, ending: str) -> None:
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        file = mnist(tmp_path, ending) / f"{name}{ending}"
        whole = gzip.decompress(file.read_bytes()) if ending else file.read_bytes()
        for length in {*range(17), len(whole) - 1}:
            file.write_bytes(gzip.compress(whole[:length]) if ending else whole[:length])
            with pytest.raises(DataError, match="is no whole IDX file"):
                load_dataset(tmp_path)


def test_a_small_file_that_unpacks_to_very_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = mnist(tmp_path, ".gz") / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(struct.pack(">4s3I", b"\0\0\x08\x03", 1 << 20, 32, 32) + bytes(1 << 20)))
    with pytest.raises(DataError, match="claim to unpack to 1073741824, as in a zip bomb"):
        load_dataset(tmp_path)
    monkeypatch.setattr("trojancam.data.array_files.ALLOWANCE", 0)
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((1 << 14, 32, 32), np.uint8), labels=np.zeros(1 << 14, int))
    with pytest.raises(DataError, match=r"claim to unpack to 16\d+, as in a zip bomb"):
        load_dataset(tmp_path / "x.npz")


TABLES = {
    "named": "Filename,ClassId\n{a},stop\n{b},yield\n",
    "bare": "{a},stop\n{b},yield\n",
    "semicolons": "label;path\nstop;{a}\nyield;{b}\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_paths_and_labels(tmp_path: Path, kind: str) -> None:
    for number in range(4):
        Image.new("L", (8, 8), 50 * number).save(tmp_path / f"{number}.png")
    head, *rows = TABLES[kind].splitlines() if kind != "bare" else ("", *TABLES[kind].splitlines())
    lines = [row.format(a=f"{2 * n}.png", b=f"{2 * n + 1}.png") for n in (0, 1) for row in rows]
    table = tmp_path / "table.csv"
    table.write_text("\n".join([head, *lines] if head else lines))
    data = load_dataset(table, size=8, classes=2)
    assert (data.test.class_names, len(data.train), len(data.test)) == (("stop", "yield"), 2, 2)
    for images in (data.train, data.test):
        assert [int(grey) // 50 % 2 for grey in images.images[:, 0, 0, 0]] == images.labels.tolist()


def test_a_table_may_say_what_to_test_with_and_names_unknown_classes(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("L", (8, 8), 50 * number).save(tmp_path / f"{number}.png")
    table = tmp_path / "table.csv"
    table.write_text("path,label,split\n0.png,7,train\n1.png,10,train\n2.png,7,val\nlost.png,10,test\n3.png,10,test\n")
    data = load_dataset(table, size=8)
    assert (data.test.class_names, len(data.train), data.test.labels.tolist()) == (("7", "10"), 2, [0, 1])
    assert data.skipped == (f"{tmp_path / 'lost.png'}: there is no such file",)
    with pytest.raises(DataError, match=r"is none of the classes .*correct it"):
        load_dataset(table, class_names=["stop", "yield"])
    table.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has no columns path and label"):
        load_dataset(table)
    table.write_text("path,label\n1.png\n")
    with pytest.raises(DataError, match="row 2 of .* has no path and label"):
        load_dataset(table)
