"""The report of a stimulation: remarks where a strength means nothing, and the class it is judged by."""

from pathlib import Path

import pytest
import torch
from tests.nets import images_for, network
from torch import nn

import trojancam.report.stimulate
from trojancam.network.network import Network
from trojancam.report.stimulate import remarks, verdict, write_stimulation
from trojancam.stimulation import Stimulation
from trojancam.tasks.stimulate import read_stimulations, stimulate


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.stimulate, "DPI", 40)


def test_the_class_is_the_most_frequent_one_after() -> None:
    _, net = network("plain")
    labels = torch.tensor([0, 1, 1])
    answer = stimulate(net, images_for(net, 3), labels, [Stimulation("second", 1, value=50.0)])
    after = answer.stimulated.after.logits.argmax(1)
    assert answer.target_class == int(after.mode().values)
    others = labels != answer.target_class
    assert answer.success_rate == pytest.approx(float((after[others] == answer.target_class).float().mean()))
    assert f"gives {answer.success_rate:.0%} of the images of other classes" in verdict(answer)
    assert remarks(answer) == []


def test_a_map_that_is_never_active_has_no_unit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    with torch.no_grad():
        module[0].weight[1], module[0].bias[1] = 0, -1
    net = Network.from_module(module, (8, 8))
    images = torch.rand(2, 3, 8, 8)
    own = stimulate(net, images, torch.tensor([0, 1]), [Stimulation("0", 1, unit="map")])
    assert remarks(own) == [
        "Feature map 1 is not active on any of these images, so a strength in its own unit is 0; count it in the layer's."
    ]
    assert remarks(own)[0].split(",")[0] in write_stimulation(own, tmp_path, {}).page.read_text(encoding="utf-8")
    layer = stimulate(net, images, torch.tensor([0, 1]), [Stimulation("0", 1, unit="layer")])
    assert remarks(layer) == []


def test_one_record_or_a_list_of_them_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text('{"layer": "first", "kind": "zero"}')
    assert read_stimulations(path) == [Stimulation("first", kind="zero")]
    path.write_text('[{"layer": "first"}, {"layer": "first", "feature_maps": 2}]')
    assert read_stimulations(path) == [Stimulation("first"), Stimulation("first", 2)]
