"""A network that was saved is opened as it was: what it computes, its layers, classes, input and card."""

from pathlib import Path

import pytest
import torch
from tests import nets
from torch import nn

import trojancam as tc
from trojancam.errors import ModelError
from trojancam.network.card import ModelCard
from trojancam.network.input import InputSpecification

NAMES = ("plain", "normed", "residual", "trojan2")


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_the_same(name: str, tmp_path: Path) -> None:
    net = nets.network(name)[1]
    again = tc.load(net.save(tmp_path / "net.pt2"))
    images = nets.images_for(net, 5)
    torch.testing.assert_close(again(images), net(images), rtol=1e-5, atol=1e-6)
    assert (again.name, again.class_names, again.input) == (net.name, net.class_names, net.input)
    assert [(one.name, one.feature_maps, one.size) for one in again.layers.values()] == [
        (one.name, one.feature_maps, one.size) for one in net.layers.values()
    ]
    expected = tc.grad_cam(tc.record(net, images))
    for layer, cam in tc.grad_cam(tc.record(again, images)).items():
        torch.testing.assert_close(cam.contributions, expected[layer].contributions, rtol=1e-4, atol=1e-6)


def test_names_input_and_card_are_kept(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 24, 2))
    fed = InputSpecification(size=(8, 6), channels="grey", mean=(0.5, 0.0, 0.0), std=(0.25, 1.0, 1.0))
    card = ModelCard(architecture="mine", class_names=("stop", "yield"), input=fed)
    net = tc.Network.from_module(module, specification=fed, class_names=("stop", "yield"), name="small", card=card)
    again = tc.load(net.save(tmp_path / "a.pt2"))
    assert (again.name, again.class_names, again.input, again.card) == ("small", ("stop", "yield"), fed, card)
    assert (again.feeding.words, again.feeding.vouched) == ("as its file says", True)
    guessed = tc.Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2)), (8, 8))
    assert not tc.load(guessed.save(tmp_path / "b.pt2")).feeding.vouched
    assert tc.load(tmp_path / "a.pt2", class_names=["a", "b"]).class_names == ("a", "b")


def test_a_record_of_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nets.network("plain")[1]
    for record, sentence in (("{}", "is damaged or of a newer version"), ("{" * 999, "is damaged")):
        monkeypatch.setattr("trojancam.network.card.NetworkRecord.model_dump_json", lambda self, text=record: text)
        with pytest.raises(ModelError, match=sentence):
            tc.load(net.save(tmp_path / "net.pt2"))


def test_another_ending_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"call the file net\.pt2, not net\.onnx"):
        nets.network("plain")[1].save(tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_weights_go_back_into_the_module() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    module(torch.rand(8, 3, 8, 8))  # running statistics of its own
    net = tc.Network.from_module(module, 8)
    changed = net.with_parameters({name: value + 1 for name, value in net.parameters.items()})
    images = torch.rand(3, 3, 8, 8)
    module.load_state_dict(changed.state_dict(module))
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(images), changed(images))
    torch.testing.assert_close(changed(images), tc.Network.from_module(module, 8)(images))
    with pytest.raises(
        ModelError, match=r"no weights 0.weight of shape \(4, 3, 3, 3\); give the one that the network was made"
    ):
        changed.state_dict(nn.Sequential(nn.Conv2d(3, 5, 3)))
    with pytest.raises(ModelError, match=r"not net.pth; its weights go back into .*network.state_dict\(module\)"):
        changed.save("net.pth")
