"""Attributions of 10,000 images, reduced to the energy of each feature map: as a process of its own, and against bare loops."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import Ratio, paired
from trojancam.architectures import architecture
from trojancam.attribution import grad_cam
from trojancam.attribution.streaming import stream
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record

IMAGES = 10_000
BATCH = 64  # that of `stream`, if nobody says otherwise
PAIRS = 3

Sums = dict[str, Tensor]


def main(folder: Path) -> None:
    to_file(*_subject("trojan2"), folder)


def rows() -> Iterator[tuple[str, Ratio]]:
    """`stream` to a file against the two loops that come closest, which keep their sums in memory."""
    network, images = _subject("trojan2")
    loops: dict[str, Callable[[Recording], Sums]] = {
        "trojan2: records all layers and sums each map": summed,
        "trojan2: records all layers and computes the same energies": energies,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, reduce in loops.items():
            yield (
                name,
                paired(
                    lambda: to_file(network, images, Path(folder)),
                    lambda reduce=reduce: bare(network, images.images, reduce),  # type: ignore[misc]
                    pairs=PAIRS,
                    warm_up=1,
                ),
            )


def to_file(network: Network, images: ImageSet, folder: Path) -> None:
    stream(network, images, folder / "energy.npz", keep="energy", batch_size=BATCH).unlink()


def bare(network: Network, images: Tensor, reduce: Callable[[Recording], Sums]) -> list[Sums]:
    """Nothing but recordings, and what is made of each."""
    return [reduce(record(network, as_floats(batch))) for batch in images.split(BATCH)]


def summed(recording: Recording) -> Sums:
    """The sum of every feature map."""
    return {name: layer.activations.sum((2, 3)) for name, layer in recording.layers.items()}


def energies(recording: Recording) -> Sums:
    """The energy of every feature map's Grad-CAM, which is what `stream` keeps here."""
    return {name: cam.feature_maps().sum((2, 3)) for name, cam in grad_cam(recording).items()}


def _subject(name: str) -> tuple[Network, ImageSet]:
    chosen = architecture(name)
    network = Network.from_module(chosen.build(43), specification=chosen.input)
    images = torch.randint(0, 256, (IMAGES, 3, *chosen.input.size), dtype=torch.uint8)
    return network, ImageSet(images, torch.zeros(IMAGES, dtype=torch.int64), ("any",))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
