"""Inspecting a file from Python: the same words as the command, a refusal as a value, and a short repr."""

from pathlib import Path

import pytest
import torch
from tests.formats import hostile_keras
from torch import nn

import trojancam as tc


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that is right on bright and dark images fed in [0, 255] alone, as an exported program."""
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module[0].weight[0] = 1 / 27
        module[3].weight[0], module[3].bias[0] = 1 / 72, -50.0
    path = tmp_path_factory.mktemp("program") / "bright.pt2"
    batch = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(module.eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=batch), path)
    return path


def test_a_file_is_seen_and_its_network_opened(program: Path) -> None:
    found = tc.inspect(program)
    assert found.outside.format == "exported program"
    assert found.refused is None
    assert found.network is not None
    assert list(found.to_json()["network"]["parameters"].values()) == [56, 146]
    assert "wants" not in found.to_json()
    assert len(repr(found).splitlines()) <= 5


def test_labelled_images_tell_how_it_is_fed(program: Path) -> None:
    levels = torch.linspace(0, 1, 40)
    images = levels[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    labels = (levels * 255 <= 100).long()  # the first logit is half the brightness, less 50
    found = tc.inspect(program, images, labels)
    assert found.wants in found.accuracies
    assert max(found.accuracies.values()) == found.accuracies[str(found.wants)] == 1
    assert f"it wants: {found.wants} (right on 100.0%)" in repr(found)
    with pytest.raises(tc.errors.DataError, match="with their labels"):
        tc.inspect(program, images)


def test_a_refusal_is_a_value(tmp_path: Path) -> None:
    path = hostile_keras.HOSTILE["lambda of a command"](tmp_path, tmp_path / "canary")
    found = tc.inspect(path)
    assert found.network is None
    assert "'Lambda'" in str(found.refused)
    assert found.to_json()["refused"] == str(found.refused)
    assert any("os.system" in each for each in found.outside.would_run)
    assert not (tmp_path / "canary").exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(tc.errors.ModelError, match="no.onnx"):
        tc.inspect(tmp_path / "no.onnx")
