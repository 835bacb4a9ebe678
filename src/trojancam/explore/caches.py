"""Cache: what was computed lately, bounded in bytes; whoever asks for what is being computed waits for that."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

Value = TypeVar("Value")

ENTRY = 1024  # bytes, about, that any value takes with its key: without them small ones would never be forgotten


def bytes_in(value: Any) -> int:
    """How many bytes the tensors and strings in a value take, however they are nested.

    >>> import torch
    >>> bytes_in({"a": (torch.zeros(3), "four")})
    16
    """
    if isinstance(value, Tensor):
        return value.element_size() * value.nelement()
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(bytes_in, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(bytes_in, value))
    if is_dataclass(value):
        return sum(bytes_in(getattr(value, field.name)) for field in fields(value))
    return 0


class Cache:
    """Values by key, the least recently used ones forgotten once all of them take more than `limit` bytes.

    It serves many threads: a value is computed once, however many ask for it at the same time. Values are shared, so
    nobody may change them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._coming: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made now if it is not there; what `make` raises is raised to all who wait for it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                found: Value = self._values[key][0]
                return found
            coming = self._coming.get(key)
            if coming is None:
                self._coming[key] = promised = Future[Value]()
        if coming is not None:
            waited: Value = coming.result()
            return waited
        return self._made(key, make, promised)

    def forget(self, belongs: Callable[[Hashable], bool]) -> None:
        """Drop the values of some keys."""
        with self._lock:
            for key in [key for key in self._values if belongs(key)]:
                self.held -= self._values.pop(key)[1]

    def _made(self, key: Hashable, make: Callable[[], Value], promised: "Future[Value]") -> Value:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            promised.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, value)
        promised.set_result(value)
        return value

    def _keep(self, key: Hashable, value: Any) -> None:
        size = bytes_in(value) + ENTRY
        if size > self.limit:
            return
        self._values[key] = value, size
        self.held += size
        while self.held > self.limit:
            _, (_, dropped) = self._values.popitem(last=False)
            self.held -= dropped
