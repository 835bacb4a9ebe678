"""Exports: a picture shows what the page shows, with the options that the page has."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tests.explore.conftest import STAMPED, SUBJECT, unpacked

import trojancam as tc
from trojancam import figures
from trojancam.explore import answers
from trojancam.explore.exports import as_png
from trojancam.explore.subjects import AboutLayer, ViewRequest

LAYER = "conv2d_6"
EXPLAIN = {"view": "explain", "subject": SUBJECT}
GRID = {"view": "layer", "subject": STAMPED, "layer": LAYER}
MAP = {"view": "map", "subject": SUBJECT, "layer": LAYER, "map": 3}


def picture(session, view, **options):
    content = as_png(session, ViewRequest.model_validate({**view, **options}))
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


def differ(pictures):
    return len({(each.shape, each.tobytes()) for each in pictures}) == len(pictures)


@pytest.fixture
def drawn(monkeypatch):
    """What the grids that are drawn were told."""
    told, draw = [], figures.feature_map_grid

    def noted(*given, **options):
        told.append(options)
        return draw(*given, **options)

    monkeypatch.setattr(figures, "feature_map_grid", noted)
    return told


@pytest.fixture
def scanned(session):
    """A session that knows of a scan which measured three feature maps."""
    session.success_rates["m1"] = {LAYER: {3: 0.25, 9: 1.0, 12: 0.5}}
    yield session
    session.success_rates.clear()


def test_each_option_of_the_grid_changes_its_picture(session):
    options = [{}, {"signed": True}, {"scale": "own"}, {"sort": "contribution"}, {"tiles": "cells"}, {"blanks": False}]
    assert differ([picture(session, GRID, **each) for each in options])


def test_a_grid_holds_the_maps_of_the_page_in_its_order(scanned, drawn):
    answer = answers.layer(scanned, AboutLayer.model_validate({"subject": STAMPED, "layer": LAYER}))
    contributions = unpacked(answer["contributions"])
    measures = {
        "number": -torch.arange(32.0),
        "contribution": contributions.relu().amax((1, 2)),
        "energy": unpacked(answer["energy"]).nan_to_num(nan=-1),
        "peak": unpacked(answer["peaks"]),
        "asr": unpacked(answer["asr"]).nan_to_num(nan=-1),
    }
    for sort, values in measures.items():
        picture(scanned, GRID, sort=sort)
        assert drawn[-1]["maps"] == values.argsort(descending=True, stable=True).tolist(), sort
    assert drawn[-1]["maps"][:3] == [9, 12, 3]
    picture(scanned, GRID, blanks=False)
    kept = (contributions.amax((1, 2)) > 1e-12).nonzero()[:, 0].tolist()
    assert 0 < len(kept) < 32
    assert drawn[-1]["maps"] == kept
    picture(scanned, GRID, blanks=False, signed=True)
    assert drawn[-1]["maps"] == (contributions.abs().amax((1, 2)) > 1e-12).nonzero()[:, 0].tolist()


def test_an_order_that_was_not_measured_is_that_of_the_numbers(session, drawn):
    for sort in ("energy", "asr"):
        picture(session, {**GRID, "subject": SUBJECT}, sort=sort)
        assert drawn[-1]["maps"] == list(range(32))


def test_hiding_all_maps_is_refused(session, monkeypatch):
    monkeypatch.setattr("trojancam.explore.exports.ZERO", 1e9)
    with pytest.raises(tc.TrojanCamError, match="show blank ones, too"):
        picture(session, GRID, blanks=False)


def test_a_map_is_drawn_as_it_is_shown(session, monkeypatch):
    cells = []
    draw = figures.cell_map
    monkeypatch.setattr(
        figures, "cell_map", lambda *given, **options: cells.append(given[1]) or draw(*given, **options)
    )
    shows = ("activations", "contributions", "heatmap")
    assert differ([picture(session, MAP, shows=each) for each in shows])
    assert [each.shape for each in cells] == [(12, 12), (12, 12)]


def test_layers_share_a_scale_where_they_do_on_the_page(session):
    assert differ([picture(session, EXPLAIN, layers=each) for each in ("own", "shared")])


def test_figures_refuse_what_they_cannot_draw(session, network, images):
    cams = tc.grad_cam(tc.record(network, images[:1]))
    for options in ({"maps": []}, {"maps": [1], "order": "energy"}):
        with pytest.raises(tc.TrojanCamError, match="at least one feature map"):
            figures.feature_map_grid(images[0], cams[LAYER], **options)
    with pytest.raises(tc.TrojanCamError, match="0 to 31"):
        figures.feature_map_grid(images[0], cams[LAYER], maps=[32])
    with pytest.raises(tc.TrojanCamError, match="not finite"):
        figures.cell_map(images[0], torch.full((2, 2), torch.nan))
