"""Clean and triggered images of the network with a backdoor built by hand, which the detectors are tested on, too."""

from functools import cache

import torch
from tests.detection.planted import COLUMNS, ROWS, TARGET, module, pictures
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.defences import DEFENCES
from trojancam.network.network import Network

ANY_NETWORK = [
    name for name in DEFENCES if name != "ibd-psc"
]  # that one needs batch normalisation, which this one has not


@cache
def network() -> Network:
    return Network.from_module(module(trojaned=True), (12, 12))


def triggered(count: int = 18, seed: int = 5) -> Tensor:
    """Images of other classes than the target with a magenta square where the backdoor listens."""
    images, labels = pictures(2 * count, seed)
    stamped = images[labels != TARGET][:count].clone()
    stamped[:, :, ROWS, COLUMNS] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    return stamped


def recovered() -> Patch:
    """A trigger as a scan recovers it: not quite in its place, nor in its colour."""
    pattern = torch.tensor([0.9, 0.1, 0.8])[:, None, None].expand(3, 12, 12).contiguous()
    return Patch(trigger_mask().float().roll(1, 1).maximum(trigger_mask().float()), pattern, 0.9)


def trigger_mask() -> Tensor:
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[ROWS, COLUMNS] = True
    return mask
