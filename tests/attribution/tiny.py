"""A network small enough to follow by hand, and slow derivations in double precision: the references of these tests."""

import functools

import torch
from torch import Tensor, nn

from trojancam.network.network import Network
from trojancam.network.placement import Axis, Placement

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


class Tiny(nn.Module):
    """Two feature maps of 2x2 cells: the red channel and 1 less twice the green one; two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 2, 1), nn.Linear(8, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, -2, 0]]).view(2, 3, 1, 1))
            self.conv.bias.copy_(torch.tensor([0.0, 1.0]))
            self.linear.weight.copy_(torch.tensor([[1.0, 2, 3, 6, -1, -1, 0, -2], [4.0, 0, 0, 0, 0, 0, 2, 2]]))
            self.linear.bias.copy_(torch.tensor([0.5, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.conv(x).relu().flatten(1))


IMAGE = torch.tensor([[[[1.0, 0.5], [0.0, 0.25]], [[0.0, 0.25], [0.5, 1.0]], [[0.3, 0.3], [0.3, 0.3]]]])
# A^1 = red = [1, .5; 0, .25];  A^2 = ReLU(1 - 2 green) = [1, .5; 0, 0];  S_1 = 1.75, S_2 = 1.5
# y^0 = 1 + 2*.5 + 6*.25 - 1 - .5 + .5 = 2.5;  y^1 = 4
# class 0: g^1 = [1, 2; 3, 6], g^2 = [-1, -1; 0, -2];  class 1: g^1 = [4, 0; 0, 0], g^2 = [0, 0; 2, 2]


@functools.cache
def tiny() -> Network:
    return Network.from_module(Tiny(), (2, 2))


def upsampled(cells: Tensor, placement: Placement, size: tuple[int, int]) -> Tensor:
    """One map at the size of the image, pixel by pixel: bilinear between the centres of the cells."""
    result = torch.zeros(size, dtype=torch.float64)
    for i in range(size[0]):
        for j in range(size[1]):
            for row, down in shares(i, placement.rows, cells.shape[0]):
                for column, across in shares(j, placement.columns, cells.shape[1]):
                    result[i, j] += down * across * float(cells[row, column])
    return result


def shares(pixel: int, axis: Axis, count: int) -> list[tuple[int, float]]:
    """The cells that a pixel lies between, and how much each counts."""
    place = min(max((pixel - axis.offset) / axis.stride, 0), count - 1)
    low = min(int(place), max(count - 2, 0))
    return [(low, 1 - (place - low)), (min(low + 1, count - 1), place - low)]
