"""Localisation: shares of energy against values by hand and a float64 derivation; and the level of chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.nets import images_for, network, unchecked
from torch import Tensor

from trojancam.attribution import grad_cam
from trojancam.errors import DataError
from trojancam.evaluation.localisation import dilated, energy_in_mask, feature_map_energy, layer_energy
from trojancam.network.recording import record
from trojancam.network.targets import logit


def mask_of(*cells: tuple[int, int], size: tuple[int, int] = (6, 8)) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    for row, column in cells:
        mask[row, column] = True
    return mask


def random_mask(size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)) < 0.2


def dilated_by_hand(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    grown = np.zeros_like(mask)
    for row, column in zip(*mask.nonzero(), strict=True):
        grown[max(0, row - rows) : row + rows + 1, max(0, column - columns) : column + columns + 1] = True
    return grown


@pytest.mark.parametrize("cell", [(1, 1), (2, 1), (1, 3), (5, 5), (20, 20)])
def test_a_mask_grows_by_one_cell_on_every_side(cell: tuple[int, int]) -> None:
    for mask in (mask_of((0, 0)), mask_of((5, 7), (2, 3)), mask_of(), random_mask((6, 8)) & random_mask((6, 8), 1)):
        assert dilated(mask, cell).tolist() == dilated_by_hand(mask.numpy(), *cell).tolist()


def test_growing_by_cells_of_no_size_changes_nothing() -> None:
    mask = random_mask((6, 8))
    assert dilated(mask, (0, 0)).equal(mask)
    several = torch.stack([mask, ~mask, mask.flip(1)])
    assert dilated(several, (1, 2)).equal(torch.stack([dilated(each, (1, 2)) for each in several]))


def test_energy_by_hand() -> None:
    maps = torch.tensor([[[4.0, 1.0], [0.0, 3.0]], [[-4.0, 1.0], [-1.0, 3.0]], [[2.0, -9.0], [0.0, 0.0]]])
    mask = torch.tensor([[True, True], [False, False]])
    assert energy_in_mask(maps, mask).tolist() == [0.625, 0.25, 1.0]


def test_a_blank_map_has_no_share() -> None:
    shares = energy_in_mask(torch.tensor([[[0.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]]]), torch.tensor([[True, False]]))
    assert shares.isnan().tolist() == [True, True, False]
    assert shares[2] == 0


def test_energy_agrees_with_a_derivation_in_float64() -> None:
    maps = torch.randn(3, 5, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = random_mask((6, 8))
    positive = np.maximum(maps.double().numpy(), 0)
    expected = positive[..., mask.numpy()].sum(-1) / positive.sum((-2, -1))
    np.testing.assert_allclose(energy_in_mask(maps, mask).numpy(), expected, rtol=1e-5)


def test_shares_of_a_mask_and_of_the_rest_add_up_to_one_and_scale_does_not_matter() -> None:
    maps = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = random_mask((6, 8))
    inside = energy_in_mask(maps, mask)
    torch.testing.assert_close(inside + energy_in_mask(maps, ~mask), torch.ones(4))
    torch.testing.assert_close(energy_in_mask(1e-6 * maps, mask), inside)
    assert energy_in_mask(maps, mask | True).tolist() == pytest.approx([1, 1, 1, 1])


def test_a_map_of_one_value_gets_the_level_of_chance() -> None:
    mask = random_mask((6, 8))
    assert float(energy_in_mask(torch.full((6, 8), 0.3), mask)) == pytest.approx(float(mask.double().mean()))


def test_the_layers_of_a_network_seen_by_hand() -> None:
    _, net = network("normed")
    cams = grad_cam(record(net, images_for(net, 5), logit(1)))
    mask = random_mask(net.input.size)
    for cam in cams.values():
        whole, single = layer_energy(cam, mask), feature_map_energy(cam, mask)
        assert single.shape == cam.contributions.shape[:2]
        assert_share(whole, cam.heatmap(), mask)
        for index in range(single.shape[1]):
            assert_share(single[:, index], cam.feature_map_heatmaps(index), mask)


def assert_share(shares: Tensor, heatmaps: Tensor, mask: Tensor) -> None:
    heatmaps = heatmaps.double()
    expected = (heatmaps * mask).sum((1, 2)) / heatmaps.sum((1, 2))
    np.testing.assert_allclose(shares.numpy(), expected.numpy(), rtol=1e-5)


def test_a_uniform_layer_gets_chance_wherever_its_cells_look() -> None:
    _, net = network("plain")
    cam = grad_cam(record(net, images_for(net, 1), logit(1)))["second"]
    even = replace(cam, contributions=torch.ones_like(cam.contributions))
    mask = random_mask(net.input.size)
    chance = float(mask.double().mean())
    assert layer_energy(even, mask).tolist() == pytest.approx([chance])
    assert feature_map_energy(even, mask)[0].tolist() == pytest.approx([chance] * cam.contributions.shape[1])


def test_maps_and_mask_of_two_sizes_are_refused() -> None:
    with (
        unchecked(),
        pytest.raises(DataError, match=r"maps are of \(6, 8\) pixels, but the mask of \(8, 6\)"),
    ):
        energy_in_mask(torch.ones(2, 6, 8), torch.ones(8, 6, dtype=torch.bool))
