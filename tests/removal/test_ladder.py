"""Which rungs the ladder has for a network and what was found in it."""

import torch
from tests.detection.planted import pictures
from tests.removal.trojaned import NEAR, SIZE, finding
from torch import nn

from trojancam.attacks.families import image_family
from trojancam.attacks.trigger import Trigger
from trojancam.detection.suspect import suspect
from trojancam.network.network import Network
from trojancam.removal.contract import RepairJob
from trojancam.removal.ladder import rungs
from trojancam.removal.repairing import culprits_of


def names(*triggers: Trigger, dense: int = 2) -> list[str]:
    """The rungs for a network that ends in so many dense layers."""
    torch.manual_seed(0)
    hidden = [nn.Linear(4 * 10 * 10, 16), nn.ReLU(), nn.Linear(16, 9)] if dense == 2 else [nn.Linear(4 * 10 * 10, 9)]
    network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), *hidden), SIZE)
    found = [finding(trigger) for trigger in triggers]  # type: ignore[arg-type]
    return [rung.name for rung in rungs(RepairJob(suspect(network, *pictures(54)), culprits_of(found, 9)))]


def changed(family: str) -> Trigger:
    members = image_family(family, SIZE)
    return members.member(members.random(1, 1.0, torch.Generator().manual_seed(0)))


def test_a_patch_is_unlearned_by_the_dense_layers_first() -> None:
    assert names(NEAR) == ["ablate", "head", "all", "all2"]


def test_a_network_that_ends_in_one_dense_layer_has_no_head() -> None:
    assert names(NEAR, dense=1) == ["ablate", "all", "all2"]


def test_a_change_of_the_whole_image_is_never_left_to_the_dense_layers() -> None:
    for family in ("additive", "blend", "stripes", "warp", "frequency", "tone"):
        assert names(changed(family)) == ["ablate", "all", "all2"], family
    assert names(NEAR, changed("additive")) == ["ablate", "all", "all2"]
