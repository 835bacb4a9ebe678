"""Stimulation maps against a loop that edits one window at a time inside the whole network; and on a planted backdoor."""

import pytest
import torch
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, TARGET, planted
from tests.held import Held
from tests.nets import images_for, network
from tests.network.test_cut import whole
from torch import nn

from trojancam.detection.stimulation_maps.drive_levels import reach
from trojancam.detection.stimulation_maps.maps import QUANTILE, stimulation_maps
from trojancam.detection.stimulation_maps.optimised import optimised
from trojancam.detection.stimulation_maps.windows import windows
from trojancam.network.batches import BUDGET
from trojancam.network.margins import margins
from trojancam.network.network import Network
from trojancam.network.replay import replay


@pytest.mark.parametrize("name", ["plain", "normed", "residual", "concatenating"])
def test_each_window_is_compared_with_the_map_at_zero(name: str) -> None:
    _, net = network(name)
    layer = next(iter(net.layers.values()))
    images = images_for(net, 3)
    replayed, grid = replay(net, layer.name, images), windows(layer, net.input.size)
    levels = replayed.activations.amax((0, 2, 3))
    found = stimulation_maps(replayed, grid, levels)
    for number, window in ((0, 0), (layer.feature_maps - 1, len(grid) - 1)):
        absent = replayed.activations.clone()
        absent[:, number] = 0
        there = absent.clone()
        row, column = grid.corner(window)
        there[:, number, row : row + grid.size[0], column : column + grid.size[1]] = levels[number]
        low, high = (whole(net, layer.activation, each, images) for each in (absent, there))
        torch.testing.assert_close(
            found.rise[number, window], (high - low).quantile(QUANTILE, dim=0), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            found.margin_rise[number, window], (margins(high) - margins(low)).mean(0), rtol=1e-4, atol=1e-5
        )
        shares = torch.bincount(high.argmax(1), minlength=high.shape[1]) / len(images)
        torch.testing.assert_close(found.flips[number, window], shares)


def test_the_strongest_window_is_where_the_backdoor_listens_and_names_its_class() -> None:
    suspect = planted(trojaned=True)
    layer = next(iter(suspect.network.layers.values()))
    replayed = replay(suspect.network, layer.name, suspect.images)
    assert replayed.activations[:, MAGENTA].max() == 0  # on grey images; it is stimulated like the others all the same
    grid = windows(layer, suspect.network.input.size)
    found = stimulation_maps(replayed, grid, reach(replayed.cut, suspect.images))
    number, window = divmod(int(found.elevation().argmax()), len(grid))
    assert (number, found.target_class(number, window)) == (MAGENTA, TARGET)
    row, column = grid.corner(window)
    assert ROWS.start - 1 <= row < ROWS.stop
    assert COLUMNS.start - 1 <= column < COLUMNS.stop
    assert found.grid(found.elevation()[number]).shape == (len(grid.rows), len(grid.columns))


def test_memory_is_bounded_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    suspect = planted(trojaned=True)
    layer = next(iter(suspect.network.layers.values()))
    replayed, grid = replay(suspect.network, layer.name, suspect.images), windows(layer, suspect.network.input.size)
    clean, levels = replayed.activations.clone(), torch.rand(layer.feature_maps)
    whole = stimulation_maps(replayed, grid, levels)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 1)
    parts = stimulation_maps(replayed, grid, levels)
    for name in ("rise", "margin_rise", "flips"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-4, atol=1e-4)
    assert torch.equal(replayed.activations, clean)


def test_a_thousand_classes_take_no_more_than_the_budget_beside_the_result() -> None:
    classes, images = 1000, 12
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )
    net = Network.from_module(net, (16, 16))
    grid, given = windows(net.layer("0"), net.input.size), images_for(net, images)
    replayed = replay(net, "0", given)
    stimulation_maps(replayed, grid, torch.ones(4))
    with Held() as held:
        found = stimulation_maps(replayed, grid, torch.ones(4))
        strongest = optimised(replayed, found)
    returned = sum(each.nbytes for each in (found.rise, found.margin_rise, found.flips, strongest.patterns))
    assert held.peak - returned < BUDGET
    all_at_once = 4 * len(grid) * images * classes * 4 * 10  # maps, windows, images and classes, in a few copies
    assert held.peak - returned < all_at_once


def test_progress_counts_every_variant() -> None:
    suspect = planted(trojaned=False)
    layer = next(iter(suspect.network.layers.values()))
    grid = windows(layer, suspect.network.input.size)
    counts: list[int] = []
    replayed = replay(suspect.network, layer.name, suspect.images)
    stimulation_maps(replayed, grid, torch.ones(layer.feature_maps), counts.append)
    assert sum(counts) == layer.feature_maps * (len(grid) + 1)
