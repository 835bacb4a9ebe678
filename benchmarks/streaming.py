"""Attributions of 10,000 images, reduced to the energy of each feature map: run as a process of its own."""

import sys
from pathlib import Path

import torch

from trojancam.architectures import architecture
from trojancam.attribution.streaming import stream
from trojancam.data.image_set import ImageSet
from trojancam.network.network import Network

IMAGES = 10_000


def main(folder: Path) -> None:
    chosen = architecture("trojan2")
    network = Network.from_module(chosen.build(43), specification=chosen.input)
    images = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8)
    stream(
        network,
        ImageSet(images, torch.zeros(IMAGES, dtype=torch.int64), ("any",)),
        folder / "energy.npz",
        keep="energy",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
