"""Frames: the middle of an image on so many pixels, in every layout, with the regions where they then lie."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from trojancam.data import Dataset, ImageSet, folder, gtsrb, load_dataset, read_image, read_images
from trojancam.data.framing import frame
from trojancam.errors import DataError


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_an_image_has_height_and_width_of_its_own(tmp_path: Path) -> None:
    noise(20, 30).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png", (64, 48))
    assert image.shape == (3, 64, 48)
    assert torch.equal(image, torch.from_numpy(np.array(noise(20, 30).resize((48, 64), 2))).permute(2, 0, 1))
    assert torch.equal(read_images([tmp_path / "x.png"], (64, 48))[0][0], image)


def test_a_share_is_the_middle_of_the_larger_image(tmp_path: Path) -> None:
    noise(50, 40).save(tmp_path / "x.png")
    larger = read_image(tmp_path / "x.png", (64, 32))  # 56 of 64 and 28 of 32: seven eighths
    assert torch.equal(read_image(tmp_path / "x.png", (56, 28), 0.875), larger[:, 4:60, 2:30])
    same = read_image(tmp_path / "x.png", (50, 40))
    assert torch.equal(read_image(tmp_path / "x.png", (25, 20), 0.5), same[:, 12:37, 10:30])


@pytest.mark.parametrize("share", [1.0, 0.875, 0.61, 0.5])
@pytest.mark.parametrize("size", [(32, 32), (64, 48), (7, 90)])
def test_a_region_stays_on_its_pixels(size: tuple[int, int], share: float) -> None:
    shown = frame(size, share)
    height, width = shown.whole
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    x1, y1, x2, y2 = width // 5, height // 4, width - width // 5, height - height // 3
    pixels[y1 : y2 + 1, x1 : x2 + 1] = 255
    seen = np.array(shown.cut(Image.fromarray(pixels)))[..., 0] > 0
    rows, columns = seen.any(1).nonzero()[0], seen.any(0).nonzero()[0]
    (region,) = shown.regions(torch.tensor([[x1, y1, x2, y2]], dtype=torch.float32)).tolist()
    assert region == [columns[0], rows[0], columns[-1], rows[-1]]


def test_sizes_and_shares_that_make_no_sense() -> None:
    with pytest.raises(DataError, match="1 to 4096 pixels, not 0x48"):
        frame((0, 48))
    with pytest.raises(DataError, match="above 0 and at most 1, not 1.5"):
        frame(32, 1.5)
    with pytest.raises(DataError, match="above 0 and at most 1, not 0"):
        frame(32, 0.0)
    with pytest.raises(DataError, match=r"not 1e-05"):
        frame(32, 1e-5)  # the whole image would fill the memory


def test_class_folders_are_framed(tmp_path: Path) -> None:
    (tmp_path / "stop").mkdir()
    for number in range(5):
        noise(40, 40).save(tmp_path / "stop" / f"{number}.png")
    expected = read_image(tmp_path / "stop" / "0.png", (64, 48), 0.875)
    assert torch.equal(folder(tmp_path, size=(64, 48), share=0.875).images[0], expected)
    assert torch.equal(load_dataset(tmp_path, size=(64, 48), share=0.875).test.images[0], expected)


def archive(root: Path) -> Path:
    """Prepared arrays of 8x16 pixels, the sign in the right half of the images."""
    roi = np.array([[160, 80, 80, 0, 159, 79]])
    arrays = {"images": np.array(noise(8, 16))[None], "labels": np.array([14]), "roi": roi}
    for part in ("train", "test"):
        np.savez(root / f"tiny-{part}.npz", **arrays)
    return root


def test_prepared_arrays_are_framed_and_kept_apart_in_the_cache(tmp_path: Path) -> None:
    root = archive(tmp_path)
    assert torch.equal(
        gtsrb(root, size=(8, 16)).test.images[0], torch.from_numpy(np.array(noise(8, 16))).permute(2, 0, 1)
    )
    for _ in range(2):  # read, then from the cache
        for share, region in ((1.0, [8, 0, 15, 7]), (0.5, [8, 0, 15, 7]), (0.8, [8, 0, 15, 7])):
            data = gtsrb(root, size=(8, 16), share=share)
            assert data.test.regions is not None
            assert data.test.regions.tolist() == [region]
            enlarged = noise(8, 16).resize((round(16 / share), round(8 / share)), 2)
            left, top = (enlarged.width - 16) // 2, (enlarged.height - 8) // 2
            expected = np.array(enlarged)[top : top + 8, left : left + 16]
            assert torch.equal(data.test.images[0], torch.from_numpy(expected).permute(2, 0, 1))


def test_rendered_signs_are_cut_from_a_square(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def rendered_signs(size: int, **_: object) -> Dataset:
        asked.append(size)
        pixels = torch.zeros(1, 3, size, size, dtype=torch.uint8)
        pixels[..., size // 2 :] = 200
        regions = torch.tensor([[size / 2, 0, size - 1, size - 1]])
        images = ImageSet(pixels, torch.tensor([0]), ("stop",), regions=regions)
        return Dataset(images, images, "rendered")

    monkeypatch.setitem(sys.modules, "trojancam.data.rendered", SimpleNamespace(rendered_signs=rendered_signs))
    test = load_dataset(size=(64, 48), share=0.5).test
    assert asked == [128]
    assert test.size == (64, 48)
    assert test.regions is not None
    assert test.regions.tolist() == [[24, 0, 47, 63]]
    assert test.images[0, 0, 0, [0, 22, 25, 47]].tolist() == [0, 0, 200, 200]
