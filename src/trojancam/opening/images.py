"""Labelled images of a network's size and classes, and the network fitted to what they say."""

from pathlib import Path

from trojancam.data.framing import frame
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.data.loading import framed, load_dataset
from trojancam.errors import DataError, Remedy
from trojancam.network.network import Network
from trojancam.opening.feeding import with_feeding_found
from trojancam.opening.preprocessing import TRIED, answers, more_often_right
from trojancam.progress import Progress, silent


def labelled_images(network: Network, data: Path | None, progress: Progress = silent) -> Dataset:
    """The test images of the data set at a path, or rendered signs, as a network takes them; labels count its classes.

    Class folders are matched to the network's classes by their names, where it has any.

    Raises:
        DataError: if they cannot be read, or are of other classes than the network's.
    """
    own, names = network.input, network.class_names if network.named else None
    dataset = load_dataset(
        data,
        size=own.size,
        crop=own.region == "roi",
        share=own.crop,
        class_names=names,
        classes=len(network.class_names),
        training=False,
        progress=progress,
    )
    check_classes(network, dataset.test, dataset.source)
    return dataset


def check_classes(network: Network, images: ImageSet, source: str = "") -> None:
    """Labels must mean the same to the network and to the data.

    Raises:
        DataError: if there are more or fewer classes.
    """
    known, given = len(network.class_names), len(images.class_names)
    if known != given:
        where = f" ({source})" if source else ""
        raise DataError(
            f"the network tells {known} classes apart, but the data has {given}{where}", Remedy.SAME_CLASSES
        )


def fitted_to(network: Network, images: ImageSet, most: int = TRIED, seed: int = 0) -> Network:
    """The network with the images' class names where it has none, and fed as somebody vouches for, or as the images say.

    Raises:
        ModelError: if nobody vouches for how it is fed, and no usual way is clearly right on `most` of the images.
    """
    if not network.named:
        network = network.with_class_names(images.class_names)
    return network if network.feeding.vouched else with_feeding_found(network, *images.take(most, seed))


def better_region(network: Network, images: ImageSet, most: int = 500, seed: int = 0) -> str:
    """What is to be said where a network that is fed whole images is clearly more often right on their regions; else empty."""
    if images.regions is None or network.input.region != "whole":
        return ""
    picked = images.sample(most, seed)
    parts = (picked, framed(picked, frame(picked.size), crop=True))
    whole, cut = (answers(network, as_floats(part.images), part.labels) for part in parts)
    if not more_often_right(cut, whole):
        return ""
    rates = f"{whole.accuracy:.0%} of whole images, and on {cut.accuracy:.0%} if they are cut to their signs"
    return f"the network is right on {rates}"
