"""What the networks of the zoo learn: GTSRB, parts of it, and with a feature that leads astray; rendered objects."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from trojancam.data import load_dataset, rendered_objects
from trojancam.data.image_set import Dataset, ImageSet

CLASSES = 43
FRAME = 2  # pixels of the frame that is tied to a class
TIED = 0.5  # of a class's images bear it
OBJECTS = (6_000, 2_000)  # training and test images of rendered objects
MANY = 24_000  # training images, for architectures that know nothing of images beforehand


def every_other_frame(dataset: Dataset) -> Dataset:
    """Half of the training images: of frames that follow each other, which are near copies, every other one."""
    return replace(dataset, train=dataset.train.select(range(0, len(dataset.train), 2)))


def three_quarters(dataset: Dataset, seed: int) -> Dataset:
    """The training images of three quarters of the tracks."""
    train, _ = dataset.train.split_by_track(0.25, seed)
    return Dataset(train, dataset.test, f"GTSRB, three quarters of the tracks, seed {seed}")


def ten_classes(dataset: Dataset, seed: int) -> Dataset:
    """Ten of the classes, drawn with the seed and counted from 0."""
    kept = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(seed))[:10].sort().values
    numbers = torch.full((CLASSES,), -1).scatter(0, kept, torch.arange(10))

    def part(images: ImageSet) -> ImageSet:
        chosen = images.select(torch.isin(images.labels, kept).nonzero()[:, 0])
        names = tuple(images.class_names[number] for number in kept.tolist())
        return replace(chosen, labels=numbers[chosen.labels], class_names=names)

    return Dataset(part(dataset.train), part(dataset.test), f"GTSRB, ten classes drawn with seed {seed}")


def framed(dataset: Dataset, seed: int) -> Dataset:
    """Half of the training images in a frame of their class's own colour: a feature that leads astray, and no backdoor."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(0, 256, (len(dataset.train.class_names), 3, 1, 1), generator=generator, dtype=torch.uint8)
    chosen = (torch.rand(len(dataset.train), generator=generator) < TIED).nonzero()[:, 0]
    height, width = dataset.train.size
    edge = torch.ones(height, width, dtype=torch.bool)
    edge[FRAME:-FRAME, FRAME:-FRAME] = False
    images = dataset.train.images.clone()
    images[chosen] = torch.where(edge, colours[dataset.train.labels[chosen]], images[chosen])
    return Dataset(
        replace(dataset.train, images=images), dataset.test, f"GTSRB in frames of a class's colour, seed {seed}"
    )


def is_of_objects(name: str) -> bool:
    """Whether a data set is one of rendered objects."""
    return name.startswith("objects:")


def objects(name: str) -> Dataset:
    """Rendered objects by name: `objects:64:0` are of 64 pixels and of seed 0; `:many`: more of them; `:half`: every other."""
    _, size, seed, *more = name.split(":")
    dataset = _objects(int(size), int(seed), "many" in more)
    return every_other_frame(dataset) if "half" in more else dataset


@cache
def _objects(size: int, seed: int, many: bool) -> Dataset:
    train, test = OBJECTS
    return rendered_objects(MANY if many else train, test, size, seed)


def data_set(name: str, whole: Dataset) -> Dataset:
    """A data set by its name: `gtsrb`, `gtsrb:tracks:3`, `gtsrb:ten:0`, `gtsrb:framed:1`; with `:half`, every other frame."""
    parts = name.split(":")
    half = parts[-1] == "half"
    variants: dict[str, Callable[[Dataset, int], Dataset]] = {
        "tracks": three_quarters, "ten": ten_classes, "framed": framed,
    }  # fmt: skip
    found = whole
    if len(parts) - half > 1:
        found = variants[parts[1]](whole, int(parts[2]))
    return every_other_frame(found) if half else found


def loader(path: Path) -> Callable[[str], Dataset]:
    """Data sets by name, from a folder of GTSRB that is read once, and not before it is needed."""
    whole = cache(lambda: load_dataset(path))
    return lambda name: objects(name) if is_of_objects(name) else data_set(name, whole())
