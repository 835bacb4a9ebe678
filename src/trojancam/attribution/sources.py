"""Sources: any number of images, of which some are taken at a time: arrays, sets of images, data sets and their loaders."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network import given, given_images
from trojancam.network.given_images import Labelled
from trojancam.network.network import Network
from trojancam.showing import Brief

LOOKED_AT = 100  # images, spread over a data set, tell it from others: to decode all of them would take too long


@runtime_checkable
class DataSet(Protocol):
    """Images by number, each alone or the first of several things, such as a `torch.utils.data.Dataset`."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> Any:
        """One of them."""


@runtime_checkable
class Loader(Protocol):
    """What loads a data set in batches, such as a `torch.utils.data.DataLoader`."""

    dataset: Any


GivenSource = given.GivenImages | DataSet | Loader


@dataclass(frozen=True)
class Source(Brief):
    """`count` images, of which `taken` gives those from one number up to another, in the form in which users have them.

    `told_by` is what tells them from others.
    """

    network: Network
    count: int
    taken: Callable[[int, int], Any]
    told_by: Callable[[], Tensor]

    def __len__(self) -> int:
        return self.count

    def batch(self, start: int, end: int) -> Float[Tensor, "n 3 h w"]:
        """Some of the images, as the network takes them.

        Raises:
            DataError: if it cannot take them.
        """
        return given.images(self.network, self.taken(start, end))

    def fingerprint(self) -> str:
        """A name for the network, not only what it is called, and the images, not only how many."""
        digest = hashlib.sha256(self.network.fingerprint.encode())
        digest.update(self.told_by().contiguous().numpy().data)
        return digest.hexdigest()[:16]


def source(network: Network, images: GivenSource) -> Source:
    """Images to take some of at a time. A loader gives its data set, in the order of that, whatever order it loads it in.

    Raises:
        DataError: if there is no telling how many there are.
    """
    given.check_network(network)
    if isinstance(images, Loader):
        images = images.dataset
    if isinstance(images, Labelled) and isinstance(images.images, Tensor):
        images = images.images
    if isinstance(images, np.ndarray | Tensor):
        whole = torch.as_tensor(images) if images.ndim == 4 else given.images(network, images)
        return Source(network, len(whole), lambda start, end: whole[start:end], lambda: whole)
    if not isinstance(images, DataSet):
        raise DataError(
            f"images are not streamed from a {type(images).__name__}; give an array, a set of images, or a DataLoader of a "
            "data set that has a length"
        )
    return _from_data_set(network, images)


def _from_data_set(network: Network, images: DataSet) -> Source:
    count = len(images)

    def taken(start: int, end: int) -> list[Any]:
        return [_image(images[number]) for number in range(start, end)]

    def some() -> Tensor:
        spread = torch.linspace(0, count - 1, min(count, LOOKED_AT)).long().tolist()
        return given.images(network, [_image(images[number]) for number in spread])

    return Source(network, count, taken, some)


def _image(item: Any) -> Any:
    """The image of an item, which its class may follow."""
    if isinstance(item, Mapping):
        listed, key = given_images.by_key(item)
        raise DataError(
            f"the items of this data set are dicts ({listed}), of which none says where the image is; give a data set of the "
            f"images themselves, such as [item[{key}] for item in data_set]"
        )
    return item[0] if isinstance(item, list | tuple) else item
