"""Transparent triggers: what is chosen on one half is measured on the other, and when the claim holds."""

import json
import math

import pytest
import torch

from trojancam.progress import silent
from trojancam_study.measurements import measured
from trojancam_study.shares import Shares
from trojancam_study.study import Study
from trojancam_study.transparency import Point, chosen, claim_f, correlation, verdict_of


def shares(layer: list[float], maps: list[list[float]], chance: float) -> Shares:
    return Shares(torch.tensor(layer), torch.tensor(maps), torch.tensor(layer).round(), chance, chance / 2)


def point(lead: list[float], success: float = 1.0, chance: float = 0.1) -> Point:
    values = torch.tensor(lead) + chance
    return Point(torch.full((4,), success), "a", values, chance, values, chance, "a", 0, values, chance)


def test_the_best_maps_are_chosen_by_their_lead_on_one_half_and_measured_on_the_other() -> None:
    # even images choose, odd ones are measured: `fine` leads over chance there, though `coarse` holds more energy
    fine = shares([0.5, 0.1, 0.5, 0.3], [[0.1, 0.6], [0.9, 0.2], [0.1, 0.6], [0.9, 0.4]], chance=0.1)
    coarse = shares([0.6, 1.0, 0.6, 1.0], [[0.7, 0.0], [1.0, 1.0], [0.7, 0.0], [1.0, 1.0]], chance=0.5)
    found = chosen({"fine": fine, "coarse": coarse}, torch.tensor([1.0, 0.0, 1.0, 1.0]))
    assert (found.layer, found.layer_map.tolist(), found.layer_chance) == ("fine", pytest.approx([0.1, 0.3]), 0.1)
    assert (found.map_layer, found.feature_map) == ("fine", 1)
    assert found.single_map.tolist() == pytest.approx([0.2, 0.4])
    assert found.works


def test_the_correlation_is_that_of_each_image_over_the_backdoors_that_work() -> None:
    points = [
        point([0.1, 0.3, 0.2]),
        point([0.9, 0.9, 0.9], success=0.25),
        point([0.2, 0.2, 0.2]),
        point([0.3, 0.1, 0.2]),
    ]
    rising, falling, level = correlation(points, [0.1, 0.2, 0.4, 1.0]).tolist()
    assert (rising, falling) == pytest.approx((1, -1))
    assert math.isnan(level)
    assert not len(correlation(points[:2], [0.1, 0.2]))
    # another chance level is no better localisation: only the lead over it counts
    shifted = [points[0], point([0.0, 0.0, 0.0], chance=0.6)]
    assert correlation(shifted, [0.1, 1.0]).tolist() == pytest.approx([-1, -1, -1])


def test_the_claim_needs_the_correlation_and_every_lead() -> None:
    above, below = (measured("m", [torch.full((8,), value)]) for value in (0.3, -0.3))
    unclear = measured("m", [torch.tensor([-1.0, 1.0] * 8)])
    assert verdict_of(above, [above, above]) == "agrees"
    assert verdict_of(above, [above, below]) == verdict_of(below, [above]) == "disagrees"
    assert verdict_of(above, [above, unclear]) == verdict_of(None, [above]) == verdict_of(None, []) == "cannot tell"


def test_the_claim_on_a_small_study(study: Study) -> None:
    trained = study.network("trojan2", 0)
    found = claim_f(study, silent)
    # the study's own opacity is its own network, not another training of it
    assert study.recipe("trojan2", 0, 0.4).fingerprint(study.dataset) == study.recipe("trojan2", 0).fingerprint(
        study.dataset
    )
    images, _ = study.test_images("trojan2")
    stamped = study.trigger("trojan2").apply(images)
    success = float((trained(stamped).argmax(1) == study.target_class("trojan2")).float().mean())
    by_name = {measurement.name: measurement for measurement in found.measurements}
    assert by_name["attack success rate, trained and tested at opacity 0.4"].by_seed[0] == pytest.approx(success)
    for kind in ("success", "layer map", "pointing", "feature map"):
        assert found.numbers["trained"][kind]["0.4"] == found.numbers["tested"][kind]["0.4"]
    assert set(found.pictures) == {"", "sensitivity", "maps"}
    assert all(len(table.rows) == 2 for table in found.tables)
    json.dumps(found.numbers, allow_nan=False)
