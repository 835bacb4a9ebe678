"""An image's logits depend on that image alone: what stands in the way is mended and said, or refused by name."""

import random
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trojancam.errors import ModelError
from trojancam.network.network import Network
from trojancam.network.recording import record


class Small(nn.Module):
    """A convolution and a dense layer; what lies between is each test's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.normalised = nn.BatchNorm2d(8)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.between(torch.relu(self.conv(images))).mean((2, 3)))
        return logits

    def between(self, maps: Tensor) -> Tensor:
        return maps


class Squeezed(Small):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(torch.relu(self.conv(images)), 1).squeeze())
        return logits


class Folded(Small):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(512, 5)  # for images of 16x16

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(F.max_pool2d(torch.relu(self.conv(images)), 2).view(-1, 512))
        return logits


class Dropped(Small):
    def between(self, maps: Tensor) -> Tensor:
        return F.dropout2d(F.alpha_dropout(torch.dropout(F.dropout(maps), 0.5, True), training=True), training=True)


class OfTheBatch(Small):
    def between(self, maps: Tensor) -> Tensor:
        own = self.normalised
        return F.batch_norm(maps, own.running_mean, own.running_var, own.weight, own.bias, training=True)


class WithoutStatistics(Small):
    def __init__(self) -> None:
        super().__init__()
        self.normalised = nn.BatchNorm2d(8, track_running_stats=False)

    def between(self, maps: Tensor) -> Tensor:
        normalised: Tensor = self.normalised(maps)
        return normalised


class Noisy(Small):
    def between(self, maps: Tensor) -> Tensor:
        return maps + torch.randn_like(maps)


class Attentive(Small):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout

    def between(self, maps: Tensor) -> Tensor:
        cells = maps.flatten(2).transpose(1, 2)
        attended = F.scaled_dot_product_attention(cells, cells, cells, dropout_p=self.dropout)
        return attended.transpose(1, 2).reshape_as(maps)


class Leaky(Small):
    def between(self, maps: Tensor) -> Tensor:
        return F.rrelu(maps - 0.5, training=False)


class Centred(Small):
    def between(self, maps: Tensor) -> Tensor:
        return maps - maps.mean(0, keepdim=True)


class Counting(Small):
    def between(self, maps: Tensor) -> Tensor:
        self.calls += 1
        return maps


class Tiring(Small):
    def between(self, maps: Tensor) -> Tensor:
        self.calls += 1
        return maps / self.calls


IMAGES = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_squeeze_keeps_the_axis_of_the_images(count: int) -> None:
    module = Squeezed().eval()
    network = Network.from_module(module, (32, 32))
    assert network(IMAGES[:count]).shape == (count, 5)
    torch.testing.assert_close(network(IMAGES[:count]), module(IMAGES)[:count].detach())
    assert record(network, IMAGES[:count]).logits.shape == (count, 5)


def test_rows_that_are_folded_into_one_another_are_refused() -> None:
    with pytest.raises(ModelError, match=r"8 rows of logits for 2 images.*view\(-1.*size of its images"):
        Network.from_module(Folded(), (32, 32))
    assert Network.from_module(Folded(), (16, 16))(IMAGES[:, :, :16, :16]).shape == (7, 5)


def test_dropout_that_is_always_on_is_left_out_and_said() -> None:
    module = Dropped().eval()
    network = Network.from_module(module, (32, 32))
    torch.testing.assert_close(network(IMAGES), Small.forward(_plain(module), IMAGES).detach())
    assert network.notes == ("dropout that acts outside of training was left out",)


def test_a_normalisation_by_the_batch_becomes_one_by_its_running_statistics() -> None:
    module = OfTheBatch().eval()
    module.normalised.running_mean.uniform_(), module.normalised.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = Network.from_module(module, (32, 32))
    expected = module.fc(module.normalised(torch.relu(module.conv(IMAGES))).mean((2, 3)))
    torch.testing.assert_close(network(IMAGES), expected.detach())
    assert "running statistics" in network.notes[0]
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (WithoutStatistics(), r"depends on the other images \(.*norm"),
        (Centred(), r"depends on the other images \((mean|sub)"),
        (Noisy(), r"random numbers as it runs \(randn_like"),
        (Attentive(0.5), r"random numbers as it runs \(scaled_dot_product"),
        (Tiring(), "changes its own calls as it runs"),
    ],
)
def test_what_cannot_be_mended_is_refused_by_name(module: nn.Module, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        Network.from_module(module.eval(), (32, 32))
    assert len(re.findall(r"\n", str(caught.value))) == 0


@pytest.mark.parametrize("module", [Attentive(), Leaky()])
def test_operations_that_could_draw_numbers_but_do_not_are_no_obstacle(module: nn.Module) -> None:
    network = Network.from_module(module.eval(), (32, 32))
    torch.testing.assert_close(network(IMAGES), module(IMAGES).detach())
    assert not network.notes


def test_a_counter_that_nothing_depends_on_is_no_obstacle() -> None:
    module = Counting().eval()
    network = Network.from_module(module, (32, 32))
    torch.testing.assert_close(network(IMAGES), network(IMAGES), rtol=0, atol=0)
    assert float(module.calls) == 0


def test_random_numbers_elsewhere_are_left_as_they_were() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    module = Small()
    torch.manual_seed(1)
    Network.from_module(module, (32, 32))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def _plain(module: Small) -> Small:
    plain = Small().eval()
    plain.load_state_dict(module.state_dict())
    return plain


class Summed(Small):
    """Adds up the images that come before."""

    def between(self, maps: Tensor) -> Tensor:
        return maps.cumsum(0)


class First(Small):
    """Answers to the first image only."""

    def between(self, maps: Tensor) -> Tensor:
        return maps[:1].expand_as(maps)


class Brightest(Small):
    def between(self, maps: Tensor) -> Tensor:
        return maps / maps.max()


class Scaled(Small):
    """Divides by the largest logit of the batch, which is that of the first image as often as not."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images) / images.amax((1, 2, 3))[:, None]  # of a darker image it is larger
        return logits / logits.abs().max()


class PythonNoise(Small):
    def between(self, maps: Tensor) -> Tensor:
        return maps * random.random()


DRAW = np.random.default_rng()


class NumpyNoise(Small):
    def between(self, maps: Tensor) -> Tensor:
        return maps + float(DRAW.random())


class Numbered(Small):
    """Counts its runs in a number of Python's, which a graph would keep as it was."""

    runs = 0

    def between(self, maps: Tensor) -> Tensor:
        self.runs += 1
        return maps * self.runs


@pytest.mark.parametrize("module", [Summed(), First(), Brightest(), Scaled()])
def test_an_image_at_another_place_in_the_batch_has_the_same_answer(module: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"depends on the other images \((cumsum|slice|expand|max|div)"):
        Network.from_module(module.eval(), (16, 16))


@pytest.mark.parametrize("module", [PythonNoise(), NumpyNoise(), Numbered()])
def test_what_python_draws_or_counts_is_no_constant(module: nn.Module) -> None:
    with pytest.raises(ModelError, match="answers otherwise when it is run again on the same images"):
        Network.from_module(module.eval(), (16, 16))
    assert vars(module).get("runs", 0) == 0
    assert "forward" not in vars(module)
