"""Placement: centres of cells against the receptive fields that gradients show, and maps laid over the image."""

import pytest
import torch
from torch import Tensor, nn

from trojancam.architectures import architecture
from trojancam.network.network import Network
from trojancam.network.placement import Axis, Placement, laid_over, stretched

SIZE = (48, 40)
HEADS = {
    "valid": nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU()),
    "same": nn.Sequential(nn.Conv2d(3, 4, 5, padding="same"), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, padding=1)),
    "strided": nn.Sequential(
        nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.Conv2d(4, 4, 3, stride=(2, 1), padding=(1, 0))
    ),
    "dilated": nn.Sequential(nn.Conv2d(3, 4, 3, dilation=3), nn.Conv2d(4, 4, (3, 5), dilation=(2, 1), padding=(1, 2))),
    "padded": nn.Sequential(nn.ZeroPad2d((1, 3, 2, 0)), nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, stride=2, padding=1)),
}


class Summed(nn.Module):
    """A head whose convolutions only add, so that a cell's gradient is symmetric about the centre of what it sees."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.last = nn.Conv2d(4, 2, 1)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.head(images)).mean((2, 3))


def seen_centre(module: Summed, row: int, column: int) -> tuple[float, float]:
    """The centre of mass of the pixels that a cell of the last layer depends on."""
    images = torch.ones(1, 3, *SIZE, requires_grad=True)
    cells = module.last(module.head(images))
    weight = torch.autograd.grad(cells[0, 0, row, column], images)[0][0].sum(0)
    rows, columns = weight.sum(1), weight.sum(0)
    places = [float((side * torch.arange(len(side))).sum() / side.sum()) for side in (rows, columns)]
    return places[0], places[1]


@pytest.mark.parametrize("name", HEADS)
def test_a_cell_lies_at_the_centre_of_what_it_sees(name: str) -> None:
    module = Summed(HEADS[name])
    layer = Network.from_module(module, SIZE).layer("last")
    height, width = layer.size
    for row, column in ((height // 2, width // 2), (height // 2 - 2, width // 2 + 1)):
        place = [
            axis.offset + axis.stride * index
            for axis, index in ((layer.placement.rows, row), (layer.placement.columns, column))
        ]
        torch.testing.assert_close(
            torch.tensor(place), torch.tensor(seen_centre(module, row, column)), rtol=0, atol=1e-3
        )


def test_the_study_networks_are_placed_as_worked_out_by_hand() -> None:
    chosen = architecture("trojan2")
    layers = Network.from_module(chosen.build(43), specification=chosen.input).layers
    assert layers["conv2d_5"].placement.rows == Axis(1.0, 2.0)  # 5x5 without padding: two pixels in
    assert layers["conv2d_6"].placement.rows == Axis(
        2.0, 4.5
    )  # pooled (2.5), then 3x3 without padding: one cell further
    assert layers["conv2d_9"].placement == Placement(Axis(4.0, 5.5), Axis(4.0, 5.5))
    assert layers["conv2d_9"].placement.cell == (4, 4)


def test_a_network_that_keeps_its_size_is_stretched() -> None:
    chosen = architecture("trojan1")
    for layer in Network.from_module(chosen.build(43), specification=chosen.input).layers.values():
        assert layer.placement == stretched(layer.size, (32, 32))


def test_cells_that_cannot_be_followed_back_are_stretched() -> None:
    class Resized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.last(nn.functional.interpolate(self.first(images), (12, 12))).mean((2, 3))

    layers = Network.from_module(Resized(), (32, 32)).layers
    assert layers["first"].placement.rows == Axis(1.0, 2.0)
    assert layers["last"].placement == stretched((10, 10), (32, 32))


def test_a_cell_shows_where_it_lies() -> None:
    maps = torch.zeros(1, 1, 12, 12)
    maps[0, 0, 3, 11] = 1
    laid = laid_over(maps, Placement(Axis(2.0, 4.5), Axis(2.0, 4.5)), (32, 32))[0, 0]
    assert laid.nonzero().min(0).values.tolist() == [9, 25]  # row 4.5 + 2 * 3 = 10.5, column 4.5 + 2 * 11 = 26.5
    assert laid.nonzero().max(0).values.tolist() == [12, 31]  # the outermost cell reaches to the edge
    assert laid[10, 27:].eq(0.75).all()


def test_weights_of_a_pixel_sum_to_one() -> None:
    ones = laid_over(torch.ones(1, 2, 6, 5), Placement(Axis(4.0, 5.5), Axis(3.0, -2.0)), (32, 17))
    torch.testing.assert_close(ones, torch.ones(1, 2, 32, 17))


def test_cells_that_are_not_smoothed_keep_their_values_where_they_lie() -> None:
    maps = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    laid = laid_over(maps, Placement(Axis(1.0, 0.0), Axis(2.0, 3.0)), (1, 10), smooth=False)[0, 0, 0]
    assert laid.tolist() == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]  # centres at pixels 3, 5 and 7; halfway goes to the later


@pytest.mark.parametrize("name", HEADS)
def test_a_cells_field_is_as_wide_as_its_gradient_reaches(name: str) -> None:
    module = Summed(HEADS[name])
    layer = Network.from_module(module, SIZE).layer("last")
    images = torch.ones(1, 3, *SIZE, requires_grad=True)
    cells = module.last(module.head(images))
    weight = torch.autograd.grad(cells[0, 0, layer.size[0] // 2, layer.size[1] // 2], images)[0][0].sum(0)
    spans = [reached.nonzero()[:, 0] for reached in (weight.sum(1), weight.sum(0))]
    expected = [float(span.max() - span.min() + 1) for span in spans]
    assert [layer.placement.rows.field, layer.placement.columns.field] == expected


def test_the_fields_of_the_pooled_networks_grow_as_worked_out_by_hand() -> None:
    fields = [each.placement.rows.field for each in Network.from_module(architecture("vgg").build(4)).layers.values()]
    assert fields == [3.0, 5.0, 10.0, 14.0, 24.0, 32.0]
