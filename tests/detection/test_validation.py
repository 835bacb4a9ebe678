"""Validation: numbers against definitions worked out again, on a backdoor built by hand whose place is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, SLOPE, TARGET, planted

from trojancam.attacks.patch import Patch, square
from trojancam.attribution import grad_cam
from trojancam.detection import Finding, Validation, validated
from trojancam.detection.validation import correlation, trigger_core
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.stimulation import Stimulation, stimulated_logits

PATCH = square(3, ROWS.start, COLUMNS.start, "magenta", image_size=(12, 12))
WINDOW = (ROWS.start, COLUMNS.start, 3, 3)


def finding(maps: tuple[int, ...] = (MAGENTA,), trigger: Patch | None = PATCH, window: bool = True) -> Finding:
    stimulation = Stimulation("0", maps, value=2.0, window=WINDOW) if window else None
    return Finding("by hand", TARGET, 1.0, "0", maps, trigger=trigger, stimulation=stimulation)


def validation(found: Finding) -> Validation:
    seen = planted(True)
    return validated(seen.network, seen.images, seen.labels, found)


def test_a_true_finding_is_borne_out() -> None:
    found = validation(finding())
    (view,) = found.layers
    assert found.images == 32  # of 36, four are of the target class
    assert found.witness == view.layer == "0"
    assert view.chance == pytest.approx(25 / 144)  # 3x3 pixels, grown by one
    assert (view.pointing, view.blank) == (1.0, 0.0)
    assert view.energy > 4 * view.chance
    assert found.place_with_mask == pytest.approx(1)
    assert found.agreement is not None
    assert found.agreement > 0.9
    assert found.neighbours == ()


def test_a_layers_energy_is_the_mean_share_of_its_heat_in_the_grown_core() -> None:
    seen = planted(True)
    others = seen.images[seen.labels != TARGET]
    heat = grad_cam(record(seen.network, PATCH.apply(others), logit(TARGET)))["0"].heatmap().double().numpy()
    near = np.zeros((12, 12))
    near[0:5, 7:12] = 1
    shares = [(one * near).sum() / one.sum() if one.sum() else 0.0 for one in heat]
    assert validation(finding()).layers[0].energy == pytest.approx(np.mean(shares), rel=1e-5)


def test_the_table_of_feature_maps() -> None:
    seen = planted(True)
    others = seen.images[seen.labels != TARGET]
    found = validation(finding((SLOPE,)))
    (flagged,) = found.flagged
    (neighbour,) = [view for view in found.neighbours if view.feature_map == MAGENTA]
    assert (flagged.feature_map, flagged.flagged, neighbour.flagged) == (SLOPE, True, False)
    assert neighbour.rank == 1 < flagged.rank
    assert neighbour.energy > flagged.energy
    alone = Stimulation("0", SLOPE, value=2.0, window=WINDOW)
    logits = stimulated_logits(seen.network, others, [alone])[0]
    assert flagged.prediction_value == pytest.approx(float(logits[:, TARGET].mean()), rel=1e-5)
    assert flagged.probability == pytest.approx(float(logits.softmax(1)[:, TARGET].mean()), rel=1e-5)
    assert flagged.stimulation_asr == pytest.approx(float((logits.argmax(1) == TARGET).float().mean()))


def test_a_map_is_stimulated_at_its_own_largest_where_the_finding_holds_many_values() -> None:
    seen = planted(True)
    values = torch.rand(1, 12, 12)
    several = replace(finding((SLOPE,)), stimulation=Stimulation("0", (SLOPE,), value=values, window=WINDOW))
    others = seen.images[seen.labels != TARGET]
    for found in (several, replace(several, stimulation=None)):
        window = WINDOW if found.stimulation else None
        alone = Stimulation("0", SLOPE, value=1.0, unit="map", window=window)
        expected = float(stimulated_logits(seen.network, others, [alone])[0, :, TARGET].mean())
        assert validation(found).flagged[0].prediction_value == pytest.approx(expected, rel=1e-5)


def test_the_stimulation_leads_where_the_network_listens_and_nowhere_else() -> None:
    found = validation(finding())
    assert found.leads is not None
    lead, (row, column) = found.leads.lead, (2, 9)  # the centre of the window
    place = found.leads.rows.index(row), found.leads.columns.index(column)
    assert float(lead[place]) == float(lead.max()) > 0
    assert float(lead[found.leads.rows.index(8), found.leads.columns.index(2)]) < 0
    (view,) = found.stimulated
    assert view.energy > view.chance == pytest.approx(25 / 144)


def test_a_finding_without_a_layer_is_validated_by_all_layers() -> None:
    found = validation(Finding("by hand", TARGET, 1.0, trigger=PATCH))
    assert [view.layer for view in found.layers] == ["0"] == [found.witness]
    assert (found.flagged, found.neighbours, found.stimulated, found.leads) == ((), (), (), None)
    assert found.agreement == found.layers[0].with_mask


def test_a_stimulation_of_whole_maps_has_no_place() -> None:
    whole = Finding("by hand", TARGET, 1.0, "0", (MAGENTA,), trigger=PATCH, stimulation=Stimulation("0", MAGENTA))
    found = validation(whole)
    assert (found.place_with_mask, found.layers[0].with_place, found.leads) == (None, None, None)
    assert found.agreement == found.layers[0].with_mask


def test_correlation_is_that_of_the_blurred_maps() -> None:
    one, other = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
    blurred = []
    for values in (one, other):
        padded = np.pad(values.double().numpy(), 1, constant_values=np.nan)
        blurred.append([np.nanmean(padded[i : i + 3, j : j + 3]) for i in range(16) for j in range(16)])
    assert correlation(one, other) == pytest.approx(np.corrcoef(blurred)[0, 1], abs=1e-5)
    assert correlation(one, one) == 1
    assert correlation(one, -one) == -1


def test_the_core_of_a_soft_mask() -> None:
    mask = torch.tensor([[0.0, 0.1, 0.2], [0.39, 0.4, 0.8]])
    assert trigger_core(Patch(mask, torch.zeros(3, 2, 3))).tolist() == [[False] * 3, [False, True, True]]


def test_it_can_be_written_as_json() -> None:
    document = json.loads(json.dumps(validation(finding()).to_json(), allow_nan=False))
    assert document["agreement"] == validation(finding()).agreement
    assert document["flagged"][0]["feature_map"] == MAGENTA
    assert len(document["leads"]["lead"]) == len(document["leads"]["rows"])


def test_a_trigger_all_over_the_image_is_no_obstacle() -> None:
    everywhere = Patch(torch.full((12, 12), 0.5), torch.rand(3, 12, 12))
    (view,) = validation(finding(trigger=everywhere)).layers
    assert (view.chance, view.pointing, view.with_mask) == (1.0, 1.0, None)


def test_what_cannot_be_validated() -> None:
    seen = planted(True)
    with pytest.raises(DataError, match="no recovered trigger"):
        validation(finding(trigger=None))
    with pytest.raises(DataError, match="none of the images is of a class that the finding.s trigger sends"):
        validated(seen.network, seen.images, torch.full((36,), TARGET), finding())
    with pytest.raises(UnknownNameError, match="unknown layer 'no'"):
        validation(Finding("by hand", TARGET, 1.0, "no", (1,), trigger=PATCH))
    assert not math.isnan(validation(finding()).layers[0].energy)
