"""Memory: how many bytes of tensors are alive at a time while a block runs, as a dispatch mode sees them."""

import weakref
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Held(TorchDispatchMode):
    """`peak`: the most bytes that tensors made in the block, which are not views of others, took at a time; `now` at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if not _makes_memory(operation):
            return result
        given = {_address(value) for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        for value in pytree.tree_leaves(result):
            if isinstance(value, Tensor) and value.device.type == "cpu" and _address(value) not in given:
                self._hold(value.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        if not size or address in self._known:
            return
        self._known.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._let_go, address, size)

    def _let_go(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.now -= size


@cache
def _makes_memory(operation: Any) -> bool:
    """Whether a result is not declared to be a view of what was given, or that itself, changed in place."""
    return any(each.alias_info is None for each in operation._schema.returns)


def _address(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()
