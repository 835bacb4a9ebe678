"""Training speed against a bare loop: the same network, batch size and optimiser, images already floats in memory."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from benchmarks.timing import Ratio, paired
from trojancam.architectures import architecture
from trojancam.data import rendered_signs
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.network.card import TrainingSettings
from trojancam.training.training import Task, train

IMAGES = {"basic": 5120, "trojan1": 1280, "trojan2": 5120}


def rows() -> Iterator[tuple[str, Ratio]]:
    """Times are seconds for one epoch; a ratio of 1.1 is 0.9 of the bare loop's images per second."""
    signs = rendered_signs(train=max(IMAGES.values()), test=64).train
    for name, count in IMAGES.items():
        images = signs.select(range(count))
        yield name, paired(_ours(name, images), _bare(name, images), pairs=7, warm_up=1)


def _ours(name: str, images: ImageSet) -> Callable[[], object]:
    """The whole of `train` for one epoch: augmentation, progress, and a (small) test set at its end."""
    module = architecture(name).build(43)
    task = Task(images, images.select(range(64)), architecture(name).input)
    return lambda: train(module, task, TrainingSettings(epochs=1))


def _bare(name: str, images: ImageSet, batch_size: int = 128) -> Callable[[], object]:
    module = architecture(name).build(43).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    inputs, labels = architecture(name).input.normalise(as_floats(images.images)), images.labels

    def epoch() -> None:
        for indices in torch.randperm(len(labels)).split(batch_size):
            loss = F.cross_entropy(module(inputs[indices]), labels[indices])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch
