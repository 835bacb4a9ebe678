"""Tensors over the bytes of a file: where each lies in them, and what all of them together may claim."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trojancam.errors import ModelError

TIMES = 2  # that the numbers of a storage may be used, all tensors together: few share them


@dataclass(frozen=True)
class View:
    """Where a tensor lies: in which numbers of the file, of what kind and how many they are, and how it is laid out in them."""

    key: str
    kind: torch.dtype
    numbers: int
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def over(self, content: bytearray) -> Tensor:
        """The tensor, over these bytes; it shares them with others."""
        if not self.numbers:
            return torch.empty(self.sizes, dtype=self.kind)
        whole = torch.frombuffer(content, dtype=self.kind, count=self.numbers)
        return whole.as_strided(self.sizes, self.strides, self.offset)


def made(views: Mapping[str, View], numbers: Callable[[str], bytearray]) -> dict[str, Tensor]:
    """The tensors of these views; `numbers(key)` reads the bytes of a storage, and each is read once.

    Views that are the same become one tensor.
    """
    read: dict[str, bytearray] = {}
    tensors: dict[View, Tensor] = {}
    for view in views.values():
        if view not in tensors:
            if view.key not in read:
                read[view.key] = numbers(view.key)
            tensors[view] = view.over(read[view.key])
    return {name: tensors[view] for name, view in views.items()}


def within(numbers: int, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a tensor so laid out lies within so many numbers, and repeats none of them."""
    if 0 in sizes:
        return offset <= numbers
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return last < numbers and math.prod(sizes) <= numbers


def check_shares(path: Path, views: Iterable[tuple[str, int, tuple[int, ...]]]) -> None:
    """Refuse tensors that use the same numbers again and again: each of them would be made 32-bit floats, and looked at.

    A view is the key of a storage, how many numbers that has, and the sizes of a tensor in it.

    Raises:
        ModelError: if there are such tensors.
    """
    used = Counter[str]()
    for key, numbers, sizes in views:
        used[key] += math.prod(sizes)
        if used[key] > TIMES * numbers:
            raise ModelError(f"{path} uses its numbers {key!r:.80} again and again, as no network does; do not use it")


def single_precision(path: Path, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights as 32-bit floats, all of them finite, and notes of what was done to them.

    Raises:
        ModelError: if there are complex numbers among them, or numbers that are not finite.
    """
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} - {torch.float32}
    try:
        single = _made_once(tensors)
    except RuntimeError as error:  # of 4 bits, for one
        raise ModelError(f"the weights in {path} cannot be made 32-bit floats ({error}); save them as floats") from None
    for name, tensor in {id(tensor): (name, tensor) for name, tensor in single.items()}.values():
        if tensor.is_complex():
            raise ModelError(f"the weights {name} in {path} are complex numbers, which no classifier here has")
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"the weights {name} in {path} are not finite; train the network again or get another file"
            )
    named = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return single, [f"weights in {named} were made 32-bit floats"] if kinds else []


def _made_once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as 32-bit floats where they are floats; those over the same numbers stay one."""
    made: dict[Any, Tensor] = {}
    single = {}
    for name, tensor in tensors.items():
        place = tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
        if place not in made:
            made[place] = tensor.float() if tensor.is_floating_point() else tensor
        single[name] = made[place]
    return single
