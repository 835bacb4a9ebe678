"""Classes of ours that Keras builds in place of its own: their weights are counted, or its backend lacks what they do."""

import importlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trojancam.formats.keras.allowed import OWN_CLASSES


class Room:
    """Makes room for the weights that a file holds, and for no more: Keras calls it as it calls its initializers."""

    def __init__(self) -> None:
        self.left = 0
        self.exceeded = False

    def __call__(self, shape: Sequence[int], dtype: object = None) -> Tensor:  # noqa: ARG002 - all are 32 bits
        """Weights of this shape, NaN until they are filled, so that those which the file lacks are seen."""
        self.take(shape)
        return torch.full(tuple(shape), math.nan)

    def get_config(self) -> dict[str, "Room"]:
        """What layers within a layer make their own initializer of: they take room in the same account."""
        return {"room": self}

    @classmethod
    def from_config(cls, config: dict[str, "Room"]) -> "Room":
        """The very same."""
        return config["room"]

    def take(self, shape: Sequence[int]) -> None:
        """Count weights of this shape as made room for.

        Raises:
            ValueError: if the file does not hold so many.
        """
        self.left -= math.prod(shape)
        self.exceeded = self.exceeded or self.left < 0
        if self.exceeded:
            raise ValueError("there are not so many weights in the file")


def own_classes(keras: Any, room: Room) -> dict[str, Any]:
    """The classes, by the names under which configurations ask for them."""

    def add_weight(layer: Any, *, shape: Sequence[int], **how: Any) -> Any:
        room.take(shape)
        return keras.layers.Normalization.add_weight(layer, shape=shape, **how)

    # Keras finds weights by the name of the class
    normalization = type("Normalization", (keras.layers.Normalization,), {"add_weight": add_weight})
    of_keras: Any = importlib.import_module("keras.src.ops.numpy")
    get_item = type("GetItem", (of_keras.GetItem,), {"call": lambda _, x, key: part_of(x, key)})
    return {OWN_CLASSES["Normalization"]: normalization, OWN_CLASSES["GetItem"]: get_item}


def part_of(x: Tensor, key: Any) -> Tensor:
    """`x[key]` as NumPy means it: PyTorch has no slices that go backwards, as from RGB to BGR.

    >>> part_of(torch.arange(3), slice(None, None, -1))
    tensor([2, 1, 0])
    >>> part_of(torch.arange(8).reshape(2, 4), [Ellipsis, slice(3, 0, -2)])
    tensor([[3, 1],
            [7, 5]])
    """
    keys = list(key) if isinstance(key, list | tuple) else [key]
    taken = sum(each is not None and each is not Ellipsis for each in keys)
    forwards, axis = list[Any](), 0
    for each in keys:
        if each is Ellipsis:
            axis += x.ndim - taken
        elif isinstance(each, slice) and (each.step or 1) < 0:
            x, each = _backwards(x, axis, each), slice(None)  # noqa: PLW2901 - done
            axis += 1
        elif each is not None:
            axis += 1
        forwards.append(each)
    return x[tuple(forwards)]


def _backwards(x: Tensor, axis: int, part: slice) -> Tensor:
    if part == slice(None, None, -1):
        return x.flip(axis)
    return x.index_select(axis, torch.tensor(list(range(x.shape[axis])[part]), dtype=torch.int64))
