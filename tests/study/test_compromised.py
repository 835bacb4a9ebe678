"""Table 2 and figures 13 to 16: rates of a flagged map against a stimulation done by hand; what the figures show."""

from collections.abc import Callable

import pytest
import torch

from trojancam.progress import Progress, silent
from trojancam.stimulation import Stimulation
from trojancam_study import compromised, detections, shares
from trojancam_study.detections import ABS, SCAN, Flag
from trojancam_study.exhibits import Exhibit
from trojancam_study.study import Study


@pytest.fixture(autouse=True)
def two_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """ABS flags map 4 of the second layer, a scan map 3 of the first one."""

    def flags(study: Study, name: str, seed: int, progress: object) -> list[Flag]:
        first, second, *_ = study.network(name, seed).layers
        window = Stimulation(first, 3, value=2.0, window=(0, 0, 3, 3))
        return [Flag(ABS, second, 4, Stimulation(second, 4, value=3.0), 2.5), Flag(SCAN, first, 3, window)]

    monkeypatch.setattr(detections, "flags", flags)


def test_table_2_measures_the_flagged_map(study: Study) -> None:
    exhibit = compromised.table_2(study, silent)
    found = [(each["network"], each["layer"], each["feature_map"]) for each in exhibit.numbers["maps"]]
    assert found[:2] == [("trojan1", "conv2d_2", 4), ("trojan1", "conv2d_1", 3)]
    second = exhibit.numbers["maps"][2]
    network = study.network("trojan2", 0)
    images, _ = study.test_images("trojan2")
    edited = network.cut("conv2d_6").before(images)[0].clone()
    edited[:, 4] = 3.0
    logits = network.cut("conv2d_6").after(edited)[0].detach()
    assert second["prediction_value"] == pytest.approx(float(logits[:, 10].mean()), abs=1e-4)
    assert second["stimulation_asr"] == pytest.approx(float((logits.argmax(1) == 10).float().mean()))
    rows = exhibit.tables[0].rows
    assert len(rows) == 4
    assert {len(row) for row in rows} == {len(exhibit.tables[0].headings)}


@pytest.mark.parametrize(
    ("figure", "sign", "place"),
    [(compromised.figure_13, 4, ("conv2d_5", 3)), (compromised.figure_16, 36, ("conv2d_6", 4))],
)
def test_figures_show_the_earliest_and_the_deepest_flag_with_the_targets_logit(
    study: Study, figure: Callable[[Study, Progress], Exhibit], sign: int, place: tuple[str, int]
) -> None:
    exhibit = figure(study, silent)
    network = study.network("trojan2", 0)
    image = study.example(sign, network)
    both = torch.stack([image, study.trigger("trojan2").apply(image[None])[0]])
    assert exhibit.numbers["target_logits"] == pytest.approx(network(both)[:, 10].tolist(), abs=1e-3)
    assert (exhibit.numbers["layer"], exhibit.numbers["feature_map"]) == place
    assert len(exhibit.pictures[""][0].axes) >= 4


def test_where_nothing_is_flagged_the_best_map_is_shown(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detections, "flags", lambda *_: [])
    exhibit = compromised.figure_15(study, silent)
    assert exhibit.numbers["flagged_by"] is None
    best = shares.of_study(study, "trojan2", 0).layers["conv2d_9"].best()
    assert (exhibit.numbers["layer"], exhibit.numbers["feature_map"]) == ("conv2d_9", best)
    assert compromised.table_2(study, silent).tables[0].rows == []
