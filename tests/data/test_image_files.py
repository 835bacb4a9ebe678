import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from trojancam.data import read_image, read_images
from trojancam.data.image_files import EXTENSIONS, FORMATS, LEFT_ALONE, UnreadableImageError, image_files, rgb_image
from trojancam.errors import DataError


def corner(path: Path) -> list[int]:
    return read_image(path)[:, 0, 0].tolist()


def test_pixels_come_back_as_they_were_saved(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    for ending in ("png", "ppm", "bmp", "tif"):
        Image.fromarray(pixels).save(tmp_path / f"x.{ending}")
        image = read_image(tmp_path / f"x.{ending}")
        assert image.dtype == torch.uint8
        assert image.is_contiguous()
        assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))


def test_resizing_is_bilinear_and_leaves_the_right_size_alone(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).save(tmp_path / "two.png")
    assert read_image(tmp_path / "two.png", size=2)[0].tolist() == [[0, 200], [0, 200]]
    # twice as wide: pixel centres at 1/4 and 3/4 between the two
    assert read_image(tmp_path / "two.png", size=4)[0, 0].tolist() == [0, 50, 150, 200]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255, 255, 255]),
        ("L", 77, [77, 77, 77]),
        ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
        ("RGBA", (255, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (0, 0, 0, 51), [204, 204, 204]),
        ("LA", (0, 0), [255, 255, 255]),
    ],
)
def test_modes_become_rgb_and_transparency_white(
    tmp_path: Path, mode: str, colour: object, expected: list[int]
) -> None:
    Image.new(mode, (2, 2), colour).save(tmp_path / "x.png")
    assert corner(tmp_path / "x.png") == expected


def test_palette_with_and_without_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([10, 20, 30, 1, 2, 3])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=0)
    assert corner(tmp_path / "opaque.png") == [10, 20, 30]
    assert corner(tmp_path / "clear.png") == [255, 255, 255]


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "x.tif")
    assert corner(tmp_path / "x.tif") == [255, 0, 0]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path, ending: str) -> None:
    Image.fromarray(np.array([[0, 100 * 257, 300, 65535]], dtype=np.uint16)).save(tmp_path / f"x.{ending}")
    assert read_image(tmp_path / f"x.{ending}")[0, 0].tolist() == [0, 100, 1, 255]


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (255, 0, 0)).save(
        tmp_path / "x.gif", save_all=True, append_images=[Image.new("RGB", (2, 2), (0, 255, 0))]
    )
    assert corner(tmp_path / "x.gif") == [255, 0, 0]


def test_the_camera_was_held_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # the top of the scene is on the image's right side
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)).save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png").permute(1, 2, 0).tolist() == [[[255, 0, 0]], [[0, 255, 0]]]


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"0")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def half_of(image: Image.Image, path: Path) -> bytes:
    image.save(path)
    data = path.read_bytes()
    return data[: len(data) // 2]


@pytest.mark.parametrize("side", [8_000, 10_000, 20_000, 2**30])
def test_absurdly_large_images_are_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "x.png").write_bytes(png_that_claims(side, side))
    with pytest.raises(DataError, match=r"x.png: it has more than 50 million pixels; make it smaller first"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "ppm", "bmp", "tif", "webp"])
def test_half_a_file_is_named(tmp_path: Path, ending: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    path = tmp_path / f"x.{ending}"
    path.write_bytes(half_of(noise, path))
    with pytest.raises(DataError, match=rf"cannot read the image .*x.{ending}: it is (cut short|damaged)"):
        read_image(path)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "none.ppm").write_bytes(b"P6 0 0 255\n")
    Image.new("F", (2, 2), 0.5).save(tmp_path / "float.tif")
    Image.new("I", (2, 2), 70_000).save(tmp_path / "long.tif")
    reasons = {
        "empty.png": "it is empty; replace",
        "text.png": "it is not an image, or of a kind that Pillow does not know; replace",
        "none.ppm": "it is not an image",
        "missing.png": "there is no such file; check the path",
        ".": "it is a folder; give an image file",
        "float.tif": "its pixels are fractions of an unknown range; save it with 8 bits",
        "long.tif": "its pixels are 32-bit numbers of an unknown range; save it with 8 bits",
    }
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=reason):
            read_image(tmp_path / name)


@pytest.mark.parametrize("size", [0, -1, 5000])
def test_sizes_that_make_no_sense(tmp_path: Path, size: int) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=f"1 to 4096 pixels, not {size}"):
        read_image(tmp_path / "x.png", size=size)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from(["png", "jpg", "ppm", "bmp", "tif", "webp", "gif"]))
def test_a_damaged_file_is_read_or_listed(tmp_path: Path, data: st.DataObject, ending: str) -> None:
    path, whole = tmp_path / f"x.{ending}", tmp_path / "whole.png"
    Image.new("L", (8, 8)).save(whole)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    images, _, broken = read_images([path, whole], 8)
    assert len(images) + len(broken) == 2
    assert all(line.startswith(f"{path}: ") for line in broken)


def test_the_good_ones_are_done_and_the_broken_ones_listed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(200)]
    for i, path in enumerate(paths):
        Image.new("L", (3, 3), i).save(path)
    paths[7].write_text("hello")
    paths[9].unlink()
    steps: list[tuple[int, int]] = []
    images, good, broken = read_images(paths, 4, progress=lambda done, total, note="": steps.append((done, total)))
    assert images.shape == (198, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [i for i in range(200) if i not in (7, 9)]
    assert list(good) == [path for path in paths if path.name not in ("7.png", "9.png")]
    assert broken == (
        f"{paths[7]}: it is not an image, or of a kind that Pillow does not know",
        f"{paths[9]}: there is no such file",
    )
    assert steps == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_no_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 0 images can be read; there are no files"):
        read_images([], 32)
    with pytest.raises(
        DataError, match=r"none of the 1 images can be read; the first is .*x.png: there is no such file"
    ):
        read_images([tmp_path / "x.png"], 32)


def test_an_image_that_the_machine_failed_once_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
    left = [MemoryError(), MemoryError(), MemoryError()]
    load = PngImageFile.load

    def fails(image: PngImageFile) -> object:
        if left:
            raise left.pop()
        return load(image)

    monkeypatch.setattr(PngImageFile, "load", fails)
    with pytest.raises(UnreadableImageError, match="MemoryError"):
        rgb_image(tmp_path / "red.png")  # it fails again
    assert rgb_image(tmp_path / "red.png").getpixel((0, 0)) == (255, 0, 0)  # it fails once


def test_every_format_of_pillow_counts_as_an_image_or_there_is_a_reason(tmp_path: Path) -> None:
    """Also those that Pillow reads by the reader of another format, as `.mpo`."""
    assert set(Image.OPEN) == {*FORMATS, *LEFT_ALONE}
    read = list[str]()
    for ending, kind in Image.registered_extensions().items():
        if kind in LEFT_ALONE:
            assert ending not in EXTENSIONS
            continue
        assert kind not in Image.OPEN or ending in EXTENSIONS
        path = tmp_path / f"picture{ending}"
        for mode in ("RGB", "L", "1", "P"):
            with contextlib.suppress(Exception):
                Image.new(mode, (32, 32)).save(path)
                break
        with contextlib.suppress(Exception), Image.open(path) as opened:
            opened.load()
            read.append(ending)
    assert {".mpo", ".png", ".jpg"} < set(read)
    assert sorted(set(read) - EXTENSIONS) == []
    assert read_image(tmp_path / "picture.mpo").shape == (3, 32, 32)
    assert [file.name for file in image_files(tmp_path) if file.suffix == ".mpo"] == ["picture.mpo"]
