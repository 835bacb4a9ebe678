"""How a network is fed is found by trying, and nothing is picked that is not clearly right."""

import pytest
import torch
from torch import Tensor, nn

from trojancam.errors import ModelError, UnknownNameError
from trojancam.network import Network
from trojancam.preprocessing import AS_SAID, clear_winner, preprocessing_of, tried, usual_ways
from trojancam.types import InputSpecification

SIZE = (4, 4)


class ReddestPixels(nn.Module):
    """Class 1 where the first channel, as it is fed, exceeds `level` on average, and the last does not exceed the first."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])
            self.conv.bias.fill_(0.0)
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        means = self.conv(x).mean((2, 3))
        return torch.stack([torch.full_like(means[:, 0], self.level), means[:, 0]], 1)


def images_and_labels(count: int = 60) -> tuple[Tensor, Tensor]:
    """Half of the images are reddish, half bluish; the first are of class 1."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 3, *SIZE, generator=generator)
    labels = torch.arange(count) % 2
    images[labels == 1, 0] += 0.7
    images[labels == 0, 2] += 0.7
    return images, labels


def network(level: float) -> Network:
    return Network.from_module(ReddestPixels(level), SIZE)


def test_the_right_way_is_found() -> None:
    images, labels = images_and_labels()
    found = tried(network(100.0), images, labels)  # only pixels of up to 255 reach so far
    best = clear_winner(found, 2)
    assert best.name in ("rgb-bytes", "rgb-caffe")
    assert best.accuracy == 1
    assert {each.name: each.accuracy for each in found}["rgb-unit"] == 0.5


def test_ways_that_are_as_right_on_other_images_are_refused() -> None:
    images, labels = images_and_labels(8)
    with pytest.raises(ModelError, match=r"--preprocessing"):
        clear_winner(tried(network(0.5), images, labels.flip(0) * 0 + torch.tensor([0, 1, 1, 0, 0, 1, 1, 0])), 2)


def test_images_of_other_classes_are_refused() -> None:
    images, labels = images_and_labels()
    with pytest.raises(ModelError, match=r"no usual preprocessing makes the network right more often than guessing"):
        clear_winner(tried(network(0.5), images, torch.full_like(labels, 1) * 0 + (torch.arange(60) // 2) % 2), 2)


def test_what_is_fed_is_what_the_name_says() -> None:
    own = network(0.5)
    way = preprocessing_of(own, "bgr-caffe")
    assert way == InputSpecification(size=SIZE, mean=(0.406, 0.456, 0.485), std=(1 / 255,) * 3, channels="bgr")
    image = torch.rand(1, 3, *SIZE)
    expected = image.flip(1) * 255 - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
    torch.testing.assert_close(way.normalise(image), expected, atol=1e-3, rtol=0)
    assert usual_ways(own)[AS_SAID] == own.input
    with pytest.raises(UnknownNameError, match=r"unknown preprocessing 'rgb'.*known: as-said, rgb-unit"):
        preprocessing_of(own, "rgb")
