"""Bypasses: a branch without weights is named where it joins; what ordinary networks do is none."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES
from trojancam.network.network import Network
from trojancam.opening.open import load


def past(network: Network) -> list[str]:
    return [note for note in network.notes if "past all layers with weights" in note]


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_ordinary_networks_have_none(name: str) -> None:
    assert not past(Network.from_module(ARCHITECTURES[name].build(10), (32, 32)))


class Joining(nn.Module):
    """Feature maps that something else made of the image joins, in several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.convolution, self.dense = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 4)
        self.other = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Four logits."""
        scaled = (images - images.mean((2, 3), keepdim=True)) / 0.25  # before any layer: no branch
        maps = self.convolution(scaled).relu()
        bright = images.amax((1, 2, 3))
        if self.how == "skip":
            maps = maps + self.other(images)
        if self.how == "gate":
            maps = maps * self.dense(maps.mean((2, 3)))[:, :3, None, None].sigmoid()
        if self.how == "maps":
            maps = maps + (bright > 0.9).float()[:, None, None, None]
        logits = self.dense(maps.mean((2, 3)))
        if self.how == "logits":
            logits = logits * bright[:, None]
        return logits if self.how != "joined" else torch.cat([logits[:, :3], bright[:, None]], 1)


@pytest.mark.parametrize(("how", "operations"), [("maps", "amax, gt"), ("logits", "amax"), ("joined", "amax")])
def test_a_branch_is_named_with_where_it_joins_and_what_it_is_made_of(how: str, operations: str) -> None:
    (note,) = past(Network.from_module(Joining(how), (8, 8)))
    assert operations in note


@pytest.mark.parametrize("how", ["none", "skip", "gate"])
def test_paths_with_weights_are_none(how: str) -> None:
    assert not past(Network.from_module(Joining(how), (8, 8)))


def test_it_is_named_of_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "branched.pt2"
    program = torch.export.export(
        Joining("logits").eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    torch.export.save(program, path)
    assert len(past(load(path))) == 1
