"""Attention: regions fit the signs of their class, shares add up, and a map of one value gets the areas."""

import json
import math
from dataclasses import replace

import pytest
import torch

from trojancam.attribution import grad_cam
from trojancam.data.image_set import Dataset, as_floats
from trojancam.data.rendered import render_images
from trojancam.evaluation.localisation import layer_energy
from trojancam.network.recording import record
from trojancam.progress import silent
from trojancam_study.attention import FAMILIES, INNER, SHAPES, claim_h, energy_by_region, mean_maps, seen, signs
from trojancam_study.study import Study

# the share of the box around it that a sign fills, by geometry
FILLED = {
    "round": math.pi / 4,
    "triangular": 1 / 2,
    "upside-down triangular": 1 / 2,
    "square on its corner": 1 / 2,
    "octagonal": 2 * (math.sqrt(2) - 1),
}


@pytest.mark.parametrize("family", SHAPES)
def test_a_sign_fills_its_box_and_the_inner_part_is_the_same_shape(family: str) -> None:
    label = next(label for label, name in FAMILIES.items() if name == family)
    box = torch.tensor([[40.0, 20.0, 339.0, 319.0]])
    inner, rim, around = signs(box, torch.tensor([label]), (400, 400))[0]
    assert bool((inner.int() + rim.int() + around.int() == 1).all())
    assert float((inner | rim).sum()) == pytest.approx(FILLED[family] * 300**2, rel=0.01)
    assert float(inner.sum()) == pytest.approx(INNER**2 * FILLED[family] * 300**2, rel=0.02)
    # it touches all four sides of its box
    rows, columns = ((~around).any(axis).nonzero()[:, 0] for axis in (1, 0))
    ends = [rows.min(), rows.max(), columns.min(), columns.max()]
    assert [int(end) for end in ends] == pytest.approx([20, 319, 40, 339], abs=1)


def test_a_triangle_stands_on_its_base_and_yield_on_its_tip() -> None:
    boxes, labels = torch.tensor([[0.0, 0.0, 39.0, 39.0]]).expand(2, -1), torch.tensor([11, 13])
    standing, hanging = (~signs(boxes, labels, (40, 40))[:, 2]).sum(2)
    assert standing[0] < standing[20] < standing[39]
    assert torch.equal(standing, hanging.flip(0))


def test_rendered_signs_are_where_the_regions_say() -> None:
    labels = [14, 27, 13, 1, 12]
    town, country = (render_images(labels, 3, 64, background=kind) for kind in ("urban", "rural"))
    assert town.regions is not None
    around = signs(town.regions, town.labels, town.size)[:, 2]
    changed = (town.images.int() - country.images.int()).abs().sum(1) > 60
    # what changes with the background lies outside the sign, but for blur and perspective
    assert float(changed[~around].float().mean()) < 0.15
    assert float(changed[around].float().mean()) > 0.5


def test_shares_of_energy_are_those_of_each_images_own_regions(study: Study) -> None:
    network, images = study.network("basic", 0), study.test_set()
    assert images.regions is not None
    regions = signs(images.regions, images.labels, images.size)
    found = seen(network, images, regions)
    cam = grad_cam(record(network, as_floats(images.images[3:4])))["conv2d_2"]
    expected = [float(layer_energy(cam, mask)[0]) for mask in regions[3]]
    assert found.shares["conv2d_2"][3].tolist() == pytest.approx(expected, nan_ok=True)
    sums = found.over_layers().sum(1)
    assert torch.allclose(sums[sums.isfinite()], torch.ones(1), atol=1e-5)
    even = energy_by_region(torch.full((len(images), 32, 32), 2.5), regions)
    assert torch.allclose(even, found.areas)
    assert bool(energy_by_region(torch.zeros(1, 2, 2), torch.ones(1, 3, 2, 2, dtype=torch.bool)).isnan().all())


def test_mean_maps_are_one_on_average(study: Study) -> None:
    images, _ = study.test_images()
    for attribution in mean_maps(study.network("basic", 0), images).values():
        heat = attribution.heatmap()
        assert float(heat.mean()) == pytest.approx(1, abs=1e-4) or not bool(heat.any())


def test_the_claim_on_a_small_study(study: Study) -> None:
    found = claim_h(study, silent)
    by_name = {measurement.name: measurement for measurement in found.measurements}
    parts = [by_name[f"energy, {region}, basic"] for region in ("inner part", "rim", "surroundings")]
    assert sum(part.mean for part in parts) == pytest.approx(1, abs=1e-4)
    assert sum(part.chance or 0 for part in parts) == pytest.approx(1, abs=1e-3)
    lead = by_name["energy on the sign less its area, basic"]
    assert lead.mean == pytest.approx(sum(part.mean - (part.chance or 0) for part in parts[:2]), abs=0.02)
    assert found.verdict == ("agrees" if lead.low > 0 else "disagrees" if lead.high < 0 else "cannot tell")
    assert {row[0] for row in found.tables[0].rows} == {"basic", "trojan1", "trojan2", "basic, untrained"}
    assert "" in found.pictures
    json.dumps(found.numbers, allow_nan=False)


def test_without_boxes_it_cannot_be_told(study: Study) -> None:
    bare = Dataset(study.dataset.train, replace(study.dataset.test, regions=None), "no boxes")
    found = claim_h(replace(study, dataset=bare), silent)
    assert (found.verdict, found.measurements) == ("cannot tell", ())
