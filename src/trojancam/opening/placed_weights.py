"""Where in a file a network's weights lie: in which array, and in which order of its axes."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trojancam.showing import Brief

MOST_AXES = 5  # of weights that are tried in every order
MOST_DRAWN = 100  # times that other numbers are drawn for an array, until they are its alone


@dataclass(frozen=True)
class Place(Brief):
    """An array of a file, its shape, and the order in which its axes, read one after the other, give the weights."""

    array: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def taken(self, values: NDArray[Any], shape: tuple[int, ...]) -> Tensor:
        """The weights of this shape that the array gives."""
        return torch.from_numpy(np.ascontiguousarray(values.transpose(self.axes))).reshape(shape)

    def given(self, weights: Tensor) -> NDArray[Any]:
        """The array that gives these weights."""
        turned = weights.detach().cpu().float().numpy().reshape([self.shape[axis] for axis in self.axes])
        return np.ascontiguousarray(turned.transpose(np.argsort(self.axes)))


def places(arrays: Mapping[str, NDArray[Any]], weights: Mapping[str, Tensor]) -> dict[str, Place]:
    """The place of all weights that lie among the arrays, found by their values.

    Where several arrays hold the same values, the one is taken that nothing lies in yet, and whose name is most like that of
    the weights; else the first, as arrays and weights come in the order in which they are used.

    >>> kernel = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    >>> places({"kernel": kernel}, {"weight": torch.from_numpy(kernel.T)})
    {'weight': Place(array='kernel', shape=(2, 3), axes=(1, 0))}
    """
    alike = _alike(arrays)
    found: dict[str, Place] = {}
    used: set[str] = set()
    for name, tensor in weights.items():
        there = alike.get(_signature(tensor.detach().cpu().float().numpy()), [])
        words = _words(name)
        # Weights that are used twice have two names, and one array.
        for array in sorted(there, key=lambda array: (array in used, -len(words & _words(array)))):
            place = next((place for place in _ways(array, arrays[array]) if _fits(place, arrays[array], tensor)), None)
            if place is not None:
                found[name] = place
                used.add(array)
                break
    return found


def told_apart(arrays: Mapping[str, NDArray[Any]], weights: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Other numbers for all arrays that hold the same as another one and as some weights: then their values tell them apart.

    Sixty-fourths are added, so that a variance stays one.

    >>> zeros = np.zeros(2, dtype=np.float32)
    >>> list(told_apart({"bias": zeros, "mean": zeros, "kernel": zeros + 3}, {"bias": torch.zeros(2)}))
    ['bias', 'mean']
    """
    chance = np.random.default_rng(0)
    here = {_signature(tensor.detach().cpu().float().numpy()) for tensor in weights.values()}
    alike = _alike(arrays)
    taken, apart = {*here, *alike}, dict[str, NDArray[Any]]()
    for name in [name for held, names in alike.items() if held in here and len(names) > 1 for name in names]:
        made = arrays[name]
        for _ in range(MOST_DRAWN):
            made = arrays[name] + chance.integers(1, 1025, made.shape).astype(np.float32) / 64
            if _signature(made) not in taken:
                break
        taken.add(_signature(made))
        apart[name] = made
    return apart


def _alike(arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[str]]:
    """The arrays that can be weights, by what they hold."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name, values in arrays.items():
        if values.dtype.kind == "f" and values.ndim <= MOST_AXES:
            alike[_signature(values)].append(name)
    return alike


def _words(name: str) -> set[str]:
    return set(re.findall(r"\w+", name))


def _signature(values: NDArray[Any]) -> str:
    """The same for the same numbers in another order."""
    return hashlib.sha256(np.sort(values.astype(np.float32, copy=False), axis=None).tobytes()).hexdigest()


def _ways(name: str, values: NDArray[Any]) -> Iterator[Place]:
    return (Place(name, values.shape, axes) for axes in permutations(range(values.ndim)))


def _fits(place: Place, values: NDArray[Any], tensor: Tensor) -> bool:
    return torch.equal(place.taken(values, tuple(tensor.shape)), tensor.detach().cpu().float())
