"""Figures 1 and 6 and table 1: boxes, triggered signs and what networks call them, and the networks themselves."""

import json
from dataclasses import replace

import pytest
import torch

from trojancam.data.image_set import ImageSet
from trojancam.progress import silent
from trojancam_study.signs import box_mask, box_share, figure_1, figure_6, table_1
from trojancam_study.study import SPEED_70, Study


def test_boxes_count_their_last_pixel() -> None:
    images = ImageSet(
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, dtype=torch.int64),
        ("sign",),
        regions=torch.tensor([[0.0, 0.0, 7.0, 7.0], [2.0, 4.0, 5.0, 5.0]]),
    )
    assert box_share(images) == pytest.approx((64 + 8) / 2 / 64)
    assert box_share(replace(images, regions=None)) is None
    mask = box_mask(torch.tensor([2.0, 4.0, 5.0, 5.0]), (8, 8))
    assert mask.sum() == 8
    assert bool(mask[4:6, 2:6].all())


def test_signs_are_shown_where_they_stand(study: Study) -> None:
    exhibit = figure_1(study, silent)
    assert len(exhibit.pictures[""][0].axes) == 9
    assert 0 < exhibit.numbers["box_share"] < 1


def test_triggered_signs_are_called_what_the_networks_call_them(study: Study) -> None:
    numbers = figure_6(study, silent).numbers
    networks = {name: study.network(name, 0) for name in ("trojan1", "trojan2")}
    image = study.example(SPEED_70, *networks.values())
    stamped = study.trigger("trojan1").apply(image[None])
    for name, network in networks.items():
        said = numbers["answers"]["Speed limit (70km/h)"]["yellow-square"][name]
        assert said["class"] == network.class_names[int(network(stamped).argmax())]
    images, _ = study.test_images()
    moved = 0.4 * (images[:, :, 2:6, 26:30] - torch.tensor([0, 180, 180]).view(3, 1, 1) / 255).abs()
    assert numbers["change"]["blue-green-square"] == pytest.approx(float(moved.mean()), abs=1e-3)


def test_the_table_has_the_networks_of_the_study(study: Study) -> None:
    exhibit = table_1(study, silent)
    found = exhibit.numbers["networks"]
    assert [found[name]["total"] for name in found] == [107_147, 516_139, 1_264_727]
    assert found["basic"]["trainable"] == 107_147 - 2 * (8 + 16 + 16 + 32 + 32 + 128 + 128)
    cards = [study.network("trojan2", seed).card for seed in study.seeds]
    rates = [card.training.attack_success_rate or 0.0 for card in cards if card and card.training]
    assert found["trojan2"]["attack_success_rate"] == rates
    row = exhibit.tables[0].rows[2]
    assert row[2] == "9, 32, 48, 64, 96"
    assert row[-2].startswith(f"{sum(rates) / 2:.2%}")
    json.dumps(exhibit.numbers, allow_nan=False)
