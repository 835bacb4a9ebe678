"""Optimised stimulation: better than any single map, within what clean images reach, and for every class."""

import pytest
import torch
from tests.detection.planted import COLUMNS, ROWS, TARGET, planted
from tests.nets import images_for, network
from tests.network.test_cut import whole

from trojancam.detection.outliers import outlyingness
from trojancam.detection.stimulation_maps.drive_levels import reach
from trojancam.detection.stimulation_maps.maps import QUANTILE, StimulationMaps, stimulation_maps
from trojancam.detection.stimulation_maps.optimised import Stimuli, cost, measured, optimised
from trojancam.detection.stimulation_maps.windows import Windows, windows
from trojancam.network.margins import margins
from trojancam.network.network import Network
from trojancam.network.replay import Replay, replay


def searched(net: Network, layer: str, images: torch.Tensor) -> tuple[Replay, StimulationMaps, Stimuli]:
    replayed = replay(net, layer, images)
    maps = stimulation_maps(replayed, windows(net.layer(layer), net.input.size), reach(replayed.cut, images))
    return replayed, maps, optimised(replayed, maps)


def edited(replayed: Replay, grid: Windows, found: Stimuli, number: int) -> torch.Tensor:
    values = replayed.activations.clone()
    (row, column), (height, width) = found.corners[number].tolist(), grid.size
    values[:, :, row : row + height, column : column + width] = found.patterns[number]
    return values


def test_margin_and_flips_are_those_of_the_whole_network() -> None:
    for name in ("normed", "residual", "concatenating"):
        _, net = network(name)
        layer = next(iter(net.layers.values()))
        images = images_for(net, 4)
        replayed, maps, found = searched(net, layer.name, images)
        assert found.classes.tolist() == list(range(len(net.class_names)))
        for number in range(len(net.class_names)):
            logits = whole(net, layer.activation, edited(replayed, maps.windows, found, number), images)
            leads = margins(logits)[:, number]
            torch.testing.assert_close(found.margin[number], leads.quantile(QUANTILE), rtol=1e-4, atol=1e-5)
            assert float(found.flips[number]) == float((leads > 0).float().mean())


def test_values_are_zero_or_each_maps_level() -> None:
    _, net = network("normed")
    layer = next(iter(net.layers))
    _, maps, found = searched(net, layer, images_for(net, 4))
    level = maps.levels[None, :, None, None].expand_as(found.patterns)
    assert bool(((found.patterns == 0) | (found.patterns == level)).all())


def test_gradients_improve_on_the_start() -> None:
    _, net = network("residual")
    layer = next(iter(net.layers))
    replayed, maps, found = searched(net, layer, images_for(net, 4))
    everything_on = Stimuli(
        found.classes,
        found.corners,
        maps.levels[None, :, None, None].expand_as(found.patterns),
        found.margin,
        found.flips,
    )
    assert bool((found.margin >= measured(replayed, maps.windows, everything_on).margin - 1e-5).all())


def test_the_planted_class_stands_out_where_it_listens_and_no_class_of_the_clean_twin_does() -> None:
    for trojaned in (True, False):
        suspect = planted(trojaned)
        layer = next(iter(suspect.network.layers))
        _, maps, found = searched(suspect.network, layer, suspect.images[:12])
        out = outlyingness(found.margin)
        if trojaned:
            assert int(out.argmax()) == TARGET
            row, column = found.corners[TARGET].tolist()
            assert ROWS.start - maps.windows.size[0] < row < ROWS.stop
            assert COLUMNS.start - maps.windows.size[1] < column < COLUMNS.stop
            assert float(out[TARGET]) > 5
        else:
            assert float(out.max()) < 5


def test_classes_in_portions_are_stimulated_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    suspect = planted(True)
    layer = next(iter(suspect.network.layers))
    replayed, maps, whole = searched(suspect.network, layer, suspect.images[:12])
    monkeypatch.setattr("trojancam.detection.stimulation_maps.optimised.fitting", lambda _: 4)
    parts = optimised(replayed, maps)
    assert torch.equal(parts.classes, whole.classes)
    torch.testing.assert_close(parts.margin, whole.margin, rtol=1e-4, atol=1e-4)
    assert torch.equal(parts.corners[TARGET], whole.corners[TARGET])


def test_the_cost_is_what_progress_is_told() -> None:
    _, net = network("plain")
    replayed = replay(net, "first", images_for(net, 3))
    grid = windows(net.layer("first"), net.input.size)
    maps = stimulation_maps(replayed, grid, reach(replayed.cut, images_for(net, 3)))
    counts: list[int] = []
    optimised(replayed, maps, counts.append)
    assert sum(counts) == cost(maps.windows, len(net.class_names))


def test_outlyingness_is_signed_and_robust() -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 1000.0, -50.0])
    median, mad = 2.0, 2.0
    torch.testing.assert_close(outlyingness(values), (values - median) / (1.4826 * mad), rtol=1e-6, atol=0)
