"""Batches: how many images go through a network, or through a part of it, at a time. Others only ask for fewer, where a
batch is a step that is kept or shown.

What is temporary stays within a budget of bytes, whatever the number of images, feature maps and classes; what is returned
may be as large as it is. On a processor a batch is also kept as small as its cache wants it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from trojancam.errors import DataError
from trojancam.network.devices import CPU

BUDGET = 256 * 2**20  # bytes of what is temporary, unless somebody says otherwise
CACHED = 16 * 2**20  # bytes of one value of a run on a processor: of twice as large ones the same work takes longer
MOST = 2048  # rows at a time on a processor: more do not run faster, even through a part of a few operations

R = TypeVar("R")


@dataclass(frozen=True)
class Footprint:
    """The bytes that one row (an image, or a layer's activations, edited or not) takes in a run of a graph.

    `kept` is what all values take, for a backward run needs them; `live` the most that is held at a time where each value is
    dropped after its last use; `largest` the largest single value.
    """

    kept: int
    live: int
    largest: int

    def plus(self, extra: int) -> "Footprint":
        """The same, where each row takes so many bytes beside the run."""
        return replace(self, kept=self.kept + extra, live=self.live + extra)

    def rows(self, budget: int = BUDGET, *, gradients: bool = False, device: torch.device = CPU) -> int:
        """How many rows fit into a budget, at least one.

        With `gradients` every value is held, and on the way back as many gradients as there are values on the way forth.

        >>> Footprint(kept=300, live=200, largest=100).rows(1000), Footprint(300, 200, 100).rows(1000, gradients=True)
        (5, 2)
        """
        fitting = budget // max(1, self.live + gradients * self.kept)
        if device.type == "cpu":
            fitting = min(fitting, CACHED // max(1, self.largest), MOST)
        return max(1, fitting)


def footprint(graph: fx.Graph) -> Footprint:
    """What a run of a graph takes for each of its rows, from the shapes that its nodes are noted to have."""
    nodes = list(graph.nodes)
    batch = next((_extent(node.meta["val"].shape[0]) for node in nodes if _is_given(node)), 1)
    sizes = {node: 0 if node.op == "get_attr" else _bytes(node.meta.get("val"), batch) for node in nodes}
    last_use = {source: place for place, node in enumerate(nodes) for source in node.all_input_nodes}
    held = peak = 0
    for place, node in enumerate(nodes):
        held += sizes[node]
        peak = max(peak, held)
        held -= sum(
            sizes[source] for source in node.all_input_nodes if last_use[source] == place and not _is_given(source)
        )
    return Footprint(sum(sizes.values()), peak, max(sizes.values(), default=0))


def measured(module: nn.Module, inputs: Tensor) -> Footprint:
    """What a run of a module that is no graph takes for each row, by running it on these: at most what all values take."""
    with torch.no_grad(), _Counting() as counting:
        module(inputs)
    held = math.ceil(counting.held / len(inputs))
    return Footprint(held, held, math.ceil(counting.largest / len(inputs)))


class _Counting(TorchDispatchMode):
    """Counts the bytes of all values that are made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.largest = 0

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        given = {_memory(value) for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        made = [value for value in pytree.tree_leaves(result) if isinstance(value, Tensor)]
        sizes = [value.nbytes for value in made if _memory(value) not in given]  # the others are views
        self.held += sum(sizes)
        self.largest = max([self.largest, *sizes])
        return result


def _memory(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def fitting(each: int, budget: int = BUDGET) -> int:
    """How many things of so many bytes fit into a budget, at least one."""
    return max(1, budget // max(1, each))


def parts(count: int, rows: int) -> Iterator[slice]:
    """Slices of so many rows, the last one of what is left; of no rows at all a single slice, which is empty.

    >>> [(part.start, part.stop) for part in parts(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, max(1, count), rows):
        yield slice(start, min(start + rows, count))


class Gathered:
    """Rows that come in parts, one after the other, and become one tensor; where one part is all, it is taken as it is.

    >>> rows = Gathered(3)
    >>> rows.add(torch.tensor([1, 2])); rows.add(torch.tensor([3])); rows.whole
    tensor([1, 2, 3])
    """

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0
        self._room: Tensor | None = None

    @property
    def whole(self) -> Tensor:
        """All rows."""
        assert self._room is not None, "there is at least one part"
        return self._room

    def add(self, part: Tensor) -> None:
        """Put the next rows behind those that are there."""
        if len(part) == self.count:
            self._room = part
        else:
            self._room = _empty_like(part, self.count) if self._room is None else self._room
            self._room[self.done : self.done + len(part)] = part
        self.done += len(part)


class GatheredRecords(Generic[R]):
    """Records of some images after the other, put together as `R`, a dataclass.

    Tensors, one row for each image, go one behind the other, also those of the records in a dict; a flag holds where it holds of
    any portion; all else is as in the first.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._kind: Callable[..., R] | None = None
        self._fields: dict[str, Any] = {}

    def add(self, record: R) -> None:
        """Put the next images behind those that are there."""
        self._kind = type(record)
        for field in fields(cast(Any, record)):
            value = getattr(record, field.name)
            if isinstance(value, Tensor):
                self._fields.setdefault(field.name, Gathered(self.count)).add(value)
            elif isinstance(value, Mapping):
                inside = self._fields.setdefault(field.name, {})
                for name, each in value.items():
                    inside.setdefault(name, GatheredRecords(self.count)).add(each)
            elif isinstance(value, bool):
                self._fields[field.name] = value or self._fields.get(field.name, False)
            else:
                self._fields.setdefault(field.name, value)

    @property
    def whole(self) -> R:
        """The record of all images."""
        assert self._kind is not None, "there is at least one portion"
        return self._kind(**{name: _whole(value) for name, value in self._fields.items()})


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return value.whole if isinstance(value, Gathered | GatheredRecords) else value


def check_budget(memory_budget: int) -> None:
    """Refuse a budget that nothing can be done within.

    Raises:
        DataError: if it is not positive.
    """
    if memory_budget <= 0:
        raise DataError(f"the memory budget must be a positive number of bytes, not {memory_budget}")


def _empty_like(part: Tensor, rows: int) -> Tensor:
    """Room for so many rows as these, laid out in memory as they are."""
    last = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    room: Tensor = torch.empty((rows, *part.shape[1:]), dtype=part.dtype, device=part.device, memory_format=layout)
    return room


def _is_given(node: fx.Node) -> bool:
    """Whether a node is a batch that the graph is given: its caller holds it all the while."""
    return node.op == "placeholder" and isinstance(node.meta.get("val"), Tensor) and node.meta["val"].ndim > 0


def _bytes(value: Any, batch: int) -> int:
    """What a value, or each of several, takes for one row: nothing where it is the same for any number of rows."""
    if isinstance(value, tuple | list):
        return sum(_bytes(each, batch) for each in value)
    if not isinstance(value, Tensor) or all(isinstance(extent, int) for extent in value.shape):
        return 0
    return math.ceil(value.element_size() * math.prod(map(_extent, value.shape)) / batch)


def _extent(extent: int | torch.SymInt) -> int:
    """An axis as long as it was when the graph was made."""
    if isinstance(extent, int):
        return extent
    return int(extent.node.hint) if extent.node.has_hint() else 1
