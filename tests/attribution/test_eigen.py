"""Eigen-CAM: against a singular value decomposition, and its sign."""

import pytest
import torch
from tests.nets import images_for, network
from torch import Tensor

from trojancam.attribution import attribute
from trojancam.attribution.eigen import eigen_cam
from trojancam.network.recording import record

SHAPES = [(3, 5, 4, 6), (2, 30, 3, 4), (2, 1, 4, 4), (1, 6, 1, 5)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def by_decomposition(maps: Tensor) -> Tensor:
    """One image: the first left singular vector times its value, turned so that it rises with the total activation."""
    columns = maps.double().flatten(1).T
    columns = columns - columns.mean(0)
    left, values, _ = torch.linalg.svd(columns, full_matrices=False)
    component = left[:, 0] * values[0]
    if float(component @ columns.sum(1)) < 0:
        component = -component
    return component.view(maps.shape[1:])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_first_singular_vector_of_each_image(shape: tuple[int, ...]) -> None:
    maps = noise(*shape)
    expected = torch.stack([by_decomposition(each) for each in maps])
    torch.testing.assert_close(eigen_cam(maps).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["basic", "trojan1", "trojan2", "normed", "residual"])
def test_it_is_so_on_every_layer_of_a_network(name: str) -> None:
    _, net = network(name)
    inputs = images_for(net, 2)
    recording = record(net, inputs)
    for layer, attribution in attribute(net, inputs, ["eigen-cam"])["eigen-cam"].items():
        expected = torch.stack([by_decomposition(each) for each in recording.layers[layer].activations])
        signed = attribution.terms()[:, 0].double()
        torch.testing.assert_close(signed, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        assert attribution.layer_map().equal(attribution.terms()[:, 0].relu())


def planted(seed: int) -> tuple[Tensor, Tensor]:
    """Eight maps of noise after a ReLU; half of them also see an object of 3x3 cells, which is returned as a mask."""
    generator = torch.Generator().manual_seed(seed)
    maps = 0.5 * torch.randn(1, 8, 10, 10, generator=generator)
    row, column = (int(torch.randint(0, 8, (), generator=generator)) for _ in range(2))
    maps[:, :4, row : row + 3, column : column + 3] += 2
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[row : row + 3, column : column + 3] = True
    return maps.relu(), mask


def test_an_object_is_never_clipped_away() -> None:
    for seed in range(200):
        maps, mask = planted(seed)
        heat = eigen_cam(maps)[0].relu()
        assert mask.flatten()[heat.argmax()], "the hottest cell belongs to the object"
        assert float(heat[mask].sum()) > 0.5 * float(heat.sum())


def test_the_greatest_cell_is_positive_where_activity_does_not_decide() -> None:
    one = torch.tensor([[3.0, 0.0, 0.0, 0.0]])
    component = eigen_cam(torch.stack([one, -one])[None])  # the total activation is the same in every cell
    assert float(component[0, 0, 0]) > 0


def test_a_layer_whose_cells_are_all_alike_has_a_blank_map() -> None:
    assert eigen_cam(torch.ones(2, 3, 4, 4)).count_nonzero() == 0
    assert eigen_cam(noise(2, 3, 1, 1)).count_nonzero() == 0
