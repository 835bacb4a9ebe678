"""Ablated feature maps are constant, whatever holds their mean; where nothing can hold it, nothing is changed."""

import torch
from torch import nn

from trojancam.detection.suspect import suspect
from trojancam.network.network import Network
from trojancam.network.replay import before
from trojancam.removal.ablation import held_at_mean

SIZE = (8, 8)


class Skipping(nn.Module):
    """A convolution to whose result its input is added before the activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Linear(4, 3),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        early = self.first(images).relu()
        return self.last((self.second(early) + early).relu().mean((2, 3)))


def normalising(bias: bool) -> nn.Sequential:
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.rand(4), 0.5 + torch.rand(4)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=bias), norm, nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))


def held(module: nn.Module, layer: str, maps: list[int]) -> tuple[Network, Network | None, torch.Tensor]:
    network = Network.from_module(module, SIZE)
    images = torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    clean = suspect(network, images, torch.arange(6) % 3)
    return network, held_at_mean(network, layer, maps, clean), clean.images


def check(network: Network, found: Network | None, images: torch.Tensor, layer: str, maps: list[int]) -> None:
    assert found is not None
    (old,), (new,) = (next(before(each.cut(layer), images)) for each in (network, found))
    means = old.mean((0, 2, 3))[maps]
    torch.testing.assert_close(new[:, maps], means[None, :, None, None].expand_as(new[:, maps]), atol=1e-5, rtol=0)
    rest = [each for each in range(new.shape[1]) if each not in maps]
    torch.testing.assert_close(new[:, rest], old[:, rest])


def test_a_bias_or_a_normalisation_holds_the_mean():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    check(*held(plain, "0", [1, 3]), "0", [1, 3])
    for bias in (False, True):
        check(*held(normalising(bias), "0", [2]), "0", [2])


def test_where_a_skip_connection_joins_nothing_is_held():
    network, found, _ = held(Skipping(), "second", [0])
    assert "second" in network.layers
    assert found is None
