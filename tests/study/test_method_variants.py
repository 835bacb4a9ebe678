"""Figures 2 and 3 and claim e: ROAD's scores of two images, paired differences, and the verdict's rule."""

import json
from dataclasses import replace

import pytest
import torch

from trojancam.attribution import METHODS, attribute
from trojancam.evaluation.comparison import Comparison, compare
from trojancam.evaluation.road import road
from trojancam.network.targets import logit, probability
from trojancam.progress import silent
from trojancam_study import method_variants
from trojancam_study.measurements import Measurement
from trojancam_study.method_variants import (
    FAMILY,
    OF_TRANSFORMERS,
    PAIR,
    SLOW,
    Compared,
    claim_e,
    favours_the_chosen,
    figure_2,
    figure_3,
)
from trojancam_study.study import STOP, Scale, Study


def comparison(scores: dict[str, list[list[float]]]) -> Comparison:
    """Scores by method: of each layer, those of the images."""
    road_scores = {
        (method, f"layer {place}"): torch.tensor(values)
        for method, layers in scores.items()
        for place, values in enumerate(layers)
    }
    return Comparison({"road": road_scores}, {}, {}, (50.0,), len(next(iter(scores.values()))[0]))


def test_all_methods_but_the_slow_ones_are_compared_once() -> None:
    assert sorted((*FAMILY, *SLOW, *OF_TRANSFORMERS)) == sorted(METHODS.own)
    assert set(PAIR) <= set(FAMILY)


def test_differences_are_paired_image_by_image() -> None:
    pair = comparison({
        "grad-cam": [[0.1, 0.5], [0.3, 0.5]],
        "grad-cam++": [[0.2, 0.4], [0.2, 0.1]],
        "random": [[0.0, 0.0], [0.0, 0.0]],
    })  # fmt: skip
    compared = Compared(pair)
    assert compared.gap("layer 0").tolist() == pytest.approx([0.1, -0.1])
    assert compared.gap().tolist() == pytest.approx([0.0, -0.25])
    assert compared.of("grad-cam").tolist() == pytest.approx([0.2, 0.5])


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.2, -0.1, "agrees"), (0.1, 0.2, "disagrees"), (-0.1, 0.1, "cannot tell")]
)
def test_the_study_chose_well_if_the_other_is_worse(low: float, high: float, verdict: str) -> None:
    assert favours_the_chosen(Measurement("gap", (low + high) / 2, low, high, None, (0.1,), 10)) == verdict


def test_scores_of_one_image_are_those_of_road(study: Study) -> None:
    numbers = figure_2(study, silent).numbers
    network = study.network("basic", 0)
    image = study.example(STOP, network)[None]
    cam = attribute(network, image, ["grad-cam++"], logit(STOP))["grad-cam++"]["conv2d_4"]
    found = road(network, image, cam.heatmap(), probability(STOP))
    said = numbers["grad-cam++"]["conv2d_4"]
    assert said["morf"] == pytest.approx(float(found.morf.mean()), abs=1e-5)
    for layers in numbers.values():
        assert all(
            each["combined"] == pytest.approx((each["lerf"] - each["morf"]) / 2, abs=2e-6) for each in layers.values()
        )


def test_the_triggered_image_is_drawn_layer_by_layer(study: Study) -> None:
    figure, _ = figure_3(study, silent).pictures[""]
    assert sum(axes.get_images() != [] for axes in figure.axes) >= 12  # two images and two methods of five layers


def test_the_claim_rests_on_the_images_of_all_networks(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_variants, "FAMILY", (*PAIR, "centre"))
    small = replace(study, seeds=(0,), scale=Scale(epochs=1, road_images=2))
    told: list[tuple[int, int]] = []
    exhibit = claim_e(small, lambda done, total, note="": told.append((done, total)))
    found = {each.name.split(":")[0]: each for each in exhibit.measurements if "less" in each.name}
    images, _ = small.test_images("basic", 2)
    scores = compare(small.network("basic", 0), images, ("grad-cam", "grad-cam++")).by_method("road")
    assert found["basic"].mean == pytest.approx(float((scores["grad-cam++"] - scores["grad-cam"]).mean()), abs=1e-5)
    whole = found["all networks"]
    assert whole.mean == pytest.approx(sum(found[name].mean for name in ("basic", "trojan1", "trojan2")) / 3, abs=1e-5)
    assert whole.count == 6
    assert exhibit.verdict == favours_the_chosen(whole)
    assert len(exhibit.tables[0].rows) == 1 + 3 + 15
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    json.dumps(exhibit.numbers, allow_nan=False)
