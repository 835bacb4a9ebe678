"""Attributions as maps: at the size of the image, of single feature maps, and given from outside."""

from typing import Any

import pytest
import torch
from tests.attribution.tiny import CLOSE
from tests.nets import images_for, network, unchecked
from torch import Tensor

from trojancam.attribution import MapAttribution, attribute, from_map, grad_cam
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.placement import Axis, Placement, laid_over, stretched
from trojancam.network.recording import record


def by_half_pixel_centres(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, as OpenCV: pixel i of n looks at (i + 1/2) m/n - 1/2 among m cells; beyond the outer centres, the edge."""

    def share(pixels: int, count: int) -> Tensor:
        matrix = torch.zeros(pixels, count, dtype=torch.float64)
        for i in range(pixels):
            place = min(max((i + 0.5) * count / pixels - 0.5, 0), count - 1)
            low = min(int(place), max(count - 2, 0))
            matrix[i, low] += 1 - (place - low)
            matrix[i, min(low + 1, count - 1)] += place - low
        return matrix

    return share(size[0], cells.shape[0]) @ cells.double() @ share(size[1], cells.shape[1]).T


def test_upsampling_two_cells_to_four_pixels_by_hand() -> None:
    cells = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])  # weights 1, 3/4, 1/4, 0 of the left cell
    expected = row[None, :] + 2 * row[:, None]
    torch.testing.assert_close(laid_over(cells, stretched((2, 2), (4, 4)), (4, 4))[0, 0], expected)
    torch.testing.assert_close(by_half_pixel_centres(cells[0, 0], (4, 4)).float(), expected)


@pytest.mark.parametrize("size", [(32, 32), (7, 5), (3, 3), (1, 9)])
@pytest.mark.parametrize("cells", [(2, 2), (3, 5), (1, 1)])
def test_upsampling_to_any_size(cells: tuple[int, int], size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *cells, generator=torch.Generator().manual_seed(5))
    result = laid_over(maps, stretched(cells, size), size)
    assert result.shape == (2, 3, *size)
    if size[0] >= cells[0] and size[1] >= cells[1]:
        expected = by_half_pixel_centres(maps[1, 2], size).float()
        torch.testing.assert_close(result[1, 2], expected, **CLOSE)
    assert result.min() >= maps.min() - 1e-6
    assert result.max() <= maps.max() + 1e-6


def test_heatmaps_of_layers_that_keep_the_size_are_stretched_over_the_image() -> None:
    _, net = network("trojan1")
    for attribution in grad_cam(record(net, images_for(net, 2))).values():
        assert attribution.heatmap().shape == (2, 32, 32)
        expected = by_half_pixel_centres(attribution.layer_map()[1], (32, 32)).float()
        torch.testing.assert_close(attribution.heatmap()[1], expected, rtol=1e-4, atol=1e-5)


def test_the_heatmap_of_one_feature_map_is_that_map_upsampled() -> None:
    _, net = network("trojan2")
    attribution = grad_cam(record(net, images_for(net, 2)))["conv2d_6"]
    assert attribution.feature_map_heatmaps(31).equal(
        attribution.at_image_size(attribution.feature_maps()[:, 31:32])[:, 0]
    )
    assert (len(attribution), attribution.cells) == (2, (12, 12))


def test_a_feature_map_that_is_not_there_is_refused() -> None:
    _, net = network("plain")
    attribution = grad_cam(record(net, images_for(net, 1)))["second"]
    for index in (5, -1):
        with pytest.raises(UnknownNameError, match=f"layer 'second' has no feature map {index}; known: 0 to 4"):
            attribution.feature_map_heatmaps(index)


def test_a_map_that_is_not_made_of_feature_maps_says_so() -> None:
    _, net = network("plain")
    found = attribute(net, images_for(net, 2), ["eigen-cam"])["eigen-cam"]["first"]
    for ask in (
        lambda: found.contributions,
        lambda: found.weights,
        found.feature_maps,
        lambda: found.feature_map_heatmaps(0),
    ):
        with pytest.raises(DataError, match="Eigen-CAM gives a map of the whole layer, not of its feature maps"):
            ask()
    with pytest.raises(AttributeError, match="'MapAttribution' object has no attribute 'nonsense'"):
        found.nonsense  # noqa: B018


def test_a_given_map_is_an_attribution() -> None:
    maps = torch.tensor([[[0.0, 4.0], [8.0, 12.0]]])
    given = from_map(maps, (4, 4), "trigger")
    assert isinstance(given, MapAttribution)
    assert (given.method, given.layer, given.cells, len(given)) == ("trigger", "input", (2, 2), 1)
    torch.testing.assert_close(given.heatmap()[0].double(), by_half_pixel_centres(maps[0], (4, 4)))
    placed = from_map(maps, (4, 4), placement=Placement(Axis(3.0), Axis(3.0)))
    torch.testing.assert_close(placed.heatmap()[0, 0], torch.tensor([0.0, 4 / 3, 8 / 3, 4.0]))


@pytest.mark.parametrize(
    ("maps", "problem"),
    [
        (torch.rand(2, 2), "maps must be floats of shape"),
        (torch.ones(1, 2, 2, dtype=torch.bool), "maps must be floats of shape"),
        (torch.rand(0, 2, 2), "maps must be floats of shape"),
        (torch.full((1, 2, 2), torch.nan), "not finite"),
    ],
)
def test_what_is_no_map_is_refused(maps: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem), unchecked():
        from_map(maps, (4, 4))
