"""How far maps can be driven: by clean images, by saturated patches over them, and maps that answer to neither."""

import torch
from tests.detection.planted import MAGENTA, planted
from torch import nn

from trojancam.detection.stimulation_maps.drive_levels import probes, reach
from trojancam.network.network import Network


def reach_of(weights: list[list[float]], images: torch.Tensor) -> torch.Tensor:
    """What pointwise maps reach that are these sums of red, green and blue."""
    convolution = nn.Conv2d(3, len(weights), 1, bias=False)
    convolution.weight.data = torch.tensor(weights)[:, :, None, None]
    size = (int(images.shape[2]), int(images.shape[3]))
    module = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(len(weights) * size[0] * size[1], 2))
    network = Network.from_module(module, size)
    return reach(network.cut(next(iter(network.layers))), images)


def test_a_map_is_driven_as_far_as_saturated_colours_drive_it() -> None:
    grey = torch.full((2, 3, 16, 16), 0.4)
    found = reach_of([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 1.0]], grey)
    torch.testing.assert_close(found, torch.tensor([3.0, 2.0, 1.0]))


def test_what_images_do_counts_where_it_is_more() -> None:
    convolution, size = nn.Conv2d(3, 1, (1, 8), bias=False), (16, 16)
    convolution.weight.data = torch.ones(1, 3, 1, 8)
    network = Network.from_module(nn.Sequential(convolution, nn.Flatten(), nn.Linear(16 * 9, 2)), size)
    white = torch.ones(1, 3, *size)
    torch.testing.assert_close(reach(network.cut(next(iter(network.layers))), white), torch.tensor([24.0]))


def test_a_map_that_nothing_moves_gets_what_the_median_map_reaches() -> None:
    grey = torch.full((1, 3, 16, 16), 0.4)
    found = reach_of([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 0.0, 0.0]], grey)
    torch.testing.assert_close(found, torch.tensor([3.0, 1.0, 1.0]))


def test_the_backdoors_map_is_silent_on_clean_images_but_reached_by_a_patch() -> None:
    suspect = planted(trojaned=True)
    cut = suspect.network.cut(next(iter(suspect.network.layers)))
    assert cut.before(suspect.images)[0][:, MAGENTA].max() == 0
    torch.testing.assert_close(reach(cut, suspect.images)[MAGENTA], torch.tensor(1.7))


def test_probes_cover_a_quarter_and_leave_the_rest() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    clean, *covered = probes(images)
    assert clean is images
    assert len(covered) == 10
    for probe in covered:
        changed = (probe != images).any(1).float().mean()
        assert abs(float(changed) - 0.25) < 0.01
        assert float(probe.min()) >= 0
        assert float(probe.max()) <= 1
