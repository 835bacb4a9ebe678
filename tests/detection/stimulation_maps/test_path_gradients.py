"""Path gradients: the window of a backdoor is found without trying every map and window, also where the target is saturated."""

import torch
from tests.detection.planted import CLASSES, COLUMNS, MAGENTA, ROWS, TARGET, planted

from trojancam.detection.inversion import Candidate, CoarseInversionSettings, invert
from trojancam.detection.stimulation_maps.detector import CoarseStimulationSettings, StimulationSettings, grids_of
from trojancam.detection.stimulation_maps.drive_levels import reach
from trojancam.detection.stimulation_maps.path_gradients import PathSearch, cost, strongest_by_gradients
from trojancam.network.replay import replay


def test_the_window_and_the_map_of_the_backdoor_are_found_and_its_class_leads() -> None:
    seen = planted(True)
    grid = grids_of(seen.network)[0]
    replayed = replay(seen.network, grid.layer.name, seen.images[:9])
    ran: list[int] = []
    levels = reach(replayed.cut, seen.images[:9])
    found = strongest_by_gradients(replayed, grid, levels, CLASSES, PathSearch(), ran.append)
    assert found.classes.tolist() == list(range(CLASSES))
    assert int(found.margin.argmax()) == TARGET
    row, column = found.corners[TARGET].tolist()
    assert ROWS.start <= row <= ROWS.stop - grid.size[0]
    assert COLUMNS.start <= column <= COLUMNS.stop - grid.size[1]
    assert bool((found.patterns[TARGET, MAGENTA] == levels[MAGENTA]).all())
    assert float(found.flips[TARGET]) == 1.0
    assert sum(ran) == cost(CLASSES, 9, PathSearch())


def test_a_coarse_search_takes_one_layer() -> None:
    network = planted(True).network
    assert len(grids_of(network, CoarseStimulationSettings())) == 1
    assert [grid.layer.name for grid in grids_of(network, CoarseStimulationSettings())] == [
        grid.layer.name for grid in grids_of(network, StimulationSettings())
    ]


def test_a_trigger_of_cells_is_the_same_in_all_pixels_of_a_cell() -> None:
    (found,) = invert(planted(True), [Candidate(TARGET)], CoarseInversionSettings(rounds=2, cells=6))
    blocks = found.trigger.weight.unflatten(0, (6, 2)).unflatten(2, (6, 2))
    assert torch.equal(blocks.amax((1, 3)), blocks.amin((1, 3)))
    region = torch.zeros(12, 12, dtype=torch.bool)
    region[1:3, 8:11] = True
    (inside,) = invert(planted(True), [Candidate(TARGET, region)], CoarseInversionSettings(rounds=2, cells=6))
    assert not bool(inside.trigger.weight[4:].any())
    assert not bool(inside.trigger.weight[:, :8].any())
    assert inside.mask_l1 > 0
