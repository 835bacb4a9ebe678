"""Streaming: one file for any number of images, equal to what one batch gives, and resumed after a kill."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.nets import network, unchecked
from torch.utils.data import DataLoader, TensorDataset

from trojancam.attribution import attribute, streaming
from trojancam.attribution.streaming import REDUCTIONS, read_stream, stream
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network.targets import logit


def image_set(count: int) -> ImageSet:
    pixels = torch.randint(0, 256, (count, 3, 12, 12), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageSet(pixels, torch.zeros(count, dtype=torch.int64), ("any",))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("keep", REDUCTIONS)
def test_the_file_holds_what_one_batch_gives(tmp_path: Path, keep: str, suffix: str) -> None:
    net, images = network("plain")[1], image_set(7)
    path = stream(net, images, tmp_path / f"out{suffix}", "layercam", logit(1), keep=keep, batch_size=3)
    settings, arrays = read_stream(path)
    assert settings | {"trojancam": ""} == {
        "images": 7, "method": "layercam", "target": "logit of class 1", "layers": ["first", "second"], "keep": keep,
        "network": net.name, "fingerprint": settings["fingerprint"], "trojancam": "",
    }  # fmt: skip
    found = attribute(net, as_floats(images.images), ["layercam"], logit(1))["layercam"]
    for layer, attribution in found.items():
        np.testing.assert_allclose(arrays[layer], REDUCTIONS[keep](attribution).numpy(), rtol=1e-4, atol=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    net, images = network("plain")[1], image_set(8)

    class KilledError(Exception):
        pass

    def kill(done: int, total: int, note: str = "", /) -> None:
        if done == 6:
            raise KilledError

    with pytest.raises(KilledError):
        stream(net, images, tmp_path / "out.npz", batch_size=3, progress=kill)
    assert not (tmp_path / "out.npz").exists()
    with pytest.raises(TrojanCamError, match="an unfinished run with other settings"):
        stream(net, images, tmp_path / "out.npz", "layercam", batch_size=3)
    other = replace(images, images=images.images.flip(3))
    for changed in ((net.with_random_layers(["linear"]), images), (net, other)):
        with pytest.raises(TrojanCamError, match="an unfinished run with other"):
            stream(*changed, tmp_path / "out.npz", batch_size=3)
    seen: list[int] = []
    stream(net, images, tmp_path / "out.npz", batch_size=3, progress=lambda done, total, note="": seen.append(done))
    assert seen == [8]
    whole = stream(net, images, tmp_path / "whole.npz", batch_size=3)
    for layer, array in read_stream(whole)[1].items():
        np.testing.assert_array_equal(read_stream(tmp_path / "out.npz")[1][layer], array)


@pytest.mark.parametrize(("every", "again"), [(-1.0, [8]), (60.0, [3, 6, 8])])
def test_what_was_noted_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float, again: list[int]
) -> None:
    """A process that is killed outright, as by kill -9, writes no last note: what came after the last one is done again."""
    net, images = network("plain")[1], image_set(8)
    whole = stream(net, images, tmp_path / "whole.npz", batch_size=3)
    monkeypatch.setattr(streaming, "NOTED_EVERY", every)
    killed = os.fork()
    if not killed:
        stream(
            net, images, tmp_path / "out.npz", batch_size=3,
            progress=lambda done, total, note="": os._exit(9) if done == 6 else None,
        )  # fmt: skip
    assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == 9
    seen: list[int] = []
    path = stream(net, images, tmp_path / "out.npz", batch_size=3, progress=lambda done, *_: seen.append(done))
    assert seen == again
    assert all(np.array_equal(read_stream(path)[1][name], array) for name, array in read_stream(whole)[1].items())


def test_what_cannot_be_streamed_is_refused(tmp_path: Path) -> None:
    net = network("plain")[1]
    with pytest.raises(UnknownNameError, match=r"unknown kind of file '.csv'"):
        stream(net, image_set(2), tmp_path / "out.csv")
    with pytest.raises(UnknownNameError, match="unknown thing to keep 'maps'"):
        stream(net, image_set(2), tmp_path / "out.npz", keep="maps")
    with pytest.raises(UnknownNameError, match="unknown attribution method of layers 'gradcam'"):
        stream(net, image_set(2), tmp_path / "out.npz", "gradcam")
    with pytest.raises(DataError, match="a batch needs at least one image, not 0"):
        stream(net, image_set(2), tmp_path / "out.npz", batch_size=0)
    with pytest.raises(DataError, match="there are no images"):
        stream(net, image_set(0), tmp_path / "out.npz")
    (tmp_path / "out.npz").write_text("kept", encoding="utf-8")
    with pytest.raises(TrojanCamError, match="exists already"):
        stream(net, image_set(2), tmp_path / "out.npz")
    with pytest.raises(DataError, match="is not a whole file of attributions"):
        read_stream(tmp_path / "out.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["out.npz"]


def test_images_come_in_any_form(tmp_path: Path) -> None:
    net, images = network("plain")[1], image_set(7)
    data = TensorDataset(images.images, images.labels)
    forms = {
        "set": images,
        "bytes": images.images,
        "last": images.images.permute(0, 2, 3, 1).numpy(),
        "data": data,
        "loader": DataLoader(data, batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(0)),
        "list": list(images.images),
    }
    found = {
        name: read_stream(stream(net, form, tmp_path / f"{name}.npz", layers="second", batch_size=3))[1]["second"]
        for name, form in forms.items()
    }
    for array in found.values():
        np.testing.assert_array_equal(array, found["set"])
    one = stream(net, as_floats(images.images)[2], tmp_path / "one.npz")
    np.testing.assert_allclose(read_stream(one)[1]["second"], found["set"][2:3], rtol=1e-4, atol=1e-6)


def test_a_class_of_each_image_stays_with_its_image(tmp_path: Path) -> None:
    net, images = network("plain")[1], image_set(7)
    classes = [3, 1, 0, 2, 1, 3, 0]
    path = stream(net, images, tmp_path / "out.npz", target=classes, batch_size=3)
    expected = attribute(net, images, target=classes)["grad-cam"]
    for layer, array in read_stream(path)[1].items():
        np.testing.assert_allclose(array, expected[layer].contributions.numpy(), rtol=1e-4, atol=1e-6)


def test_other_images_of_a_data_set_are_not_gone_on_with(tmp_path: Path) -> None:
    net, images = network("plain")[1], image_set(8).images

    def stop(done: int, total: int, note: str = "", /) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        stream(net, TensorDataset(images), tmp_path / "out.npz", batch_size=3, progress=stop)
    with pytest.raises(TrojanCamError, match="an unfinished run with other"):
        stream(net, TensorDataset(images.flip(3)), tmp_path / "out.npz", batch_size=3)


def test_images_without_a_number_are_refused(tmp_path: Path) -> None:
    net = network("plain")[1]
    with (
        unchecked(),
        pytest.raises(DataError, match="not streamed from a generator; give an array, a set of images, or a Data"),
    ):
        stream(net, (image for image in image_set(2).images), tmp_path / "out.npz")
