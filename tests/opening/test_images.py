"""Labelled images for a network: of its classes, in its order, and what they add to it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.cli.conftest import CLASSES, signs
from tests.cli.test_options import shades
from torch import Tensor, nn

from trojancam.data.framing import Frame
from trojancam.data.image_set import ImageSet
from trojancam.data.loading import framed
from trojancam.errors import DataError, ModelError, Remedy
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.opening.images import better_region, fitted_to, labelled_images
from trojancam.opening.open import load

__all__ = ["signs"]


def test_a_network_takes_names_and_feeding_from_the_images(signs: Path, tmp_path: Path) -> None:
    network = load(shades(tmp_path / "m.onnx"))
    dataset = labelled_images(network, signs)
    assert dataset.test.size == (64, 48)
    fitted = fitted_to(network, dataset.test)
    assert fitted.class_names == CLASSES
    assert "-bytes, found by trying" in fitted.feeding.words  # red and blue count alike in it
    assert fitted_to(fitted, dataset.test) is fitted


def test_images_in_another_order_tell_nothing(signs: Path, tmp_path: Path) -> None:
    network = load(shades(tmp_path / "m.onnx"), class_names=CLASSES[::-1])
    dataset = labelled_images(network, signs)
    assert dataset.test.class_names == CLASSES[::-1]
    with pytest.raises(ModelError, match="in its order") as raised:
        fitted_to(network, dataset.test)
    assert raised.value.remedies == (Remedy.ITS_CLASSES, Remedy.PREPROCESSING)


def test_images_of_fewer_classes_are_refused(signs: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    for part in ("train", "test"):
        for name in ("stop", "yield"):
            (two / part / name).parent.mkdir(parents=True, exist_ok=True)
            (two / part / name).symlink_to(signs / part / name)
    with pytest.raises(DataError, match="tells 3 classes apart, but the data has 2 .images at") as raised:
        labelled_images(load(shades(tmp_path / "m.onnx")), two)
    assert raised.value.remedies == (Remedy.SAME_CLASSES,)
    assert torch.is_grad_enabled()


class BrightFrame(nn.Module):
    """Class 1 where the edge of the image is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.bias.fill_(0.0)

    def forward(self, x: Tensor) -> Tensor:
        edge = self.conv(x)[:, 0, 0].mean(1)
        return torch.stack([torch.full_like(edge, 1.5), edge], 1)


def framed_signs(count: int = 40) -> ImageSet:
    """Bright signs (class 1) and dark ones, each in a dark frame of four pixels."""
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 3, 16, 16, dtype=torch.uint8)
    images[labels == 1, :, 4:12, 4:12] = 255
    return ImageSet(images, labels, ("dark", "bright"), regions=torch.tensor([[4.0, 4.0, 11.0, 11.0]]).repeat(count, 1))


def test_a_network_that_is_right_on_signs_cut_out_is_said() -> None:
    network, images = Network.from_module(BrightFrame(), (16, 16)), framed_signs()
    words = "the network is right on 50% of whole images, and on 100% if they are cut to their signs"
    assert better_region(network, images) == words
    assert better_region(network.fed(network.input.model_copy(update={"region": "roi"})), images) == ""
    assert better_region(network, framed(images, Frame(16, 16), crop=True)) == ""  # what is cut already
    assert better_region(network, replace(images, regions=None)) == ""


def test_a_network_that_sees_signs_alone_is_given_those(tmp_path: Path, signs: Path) -> None:
    specification = InputSpecification(size=(8, 8), region="roi")
    network = Network.from_module(BrightFrame(), specification=specification)
    with pytest.raises(DataError, match="does not say where the signs are in its images; read whole images"):
        labelled_images(network, signs)
