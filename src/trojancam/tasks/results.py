"""Results as tasks hand them over: tensors on the processor, wherever the network computed, to be drawn and written."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from trojancam.showing import Named

Result = TypeVar("Result")


def on_processor(result: Result, move: Callable[[Tensor], Tensor] = Tensor.cpu) -> Result:
    """The same result with its tensors on the processor: those in dataclasses, mappings, lists and tuples, however deep.

    What lies there already, or holds no tensor, is the same object afterwards.

    >>> import torch
    >>> on_processor({"a": (torch.ones(1), 2)}, lambda tensor: tensor + 1)
    {'a': (tensor([2.]), 2)}
    """
    moved: Any = _moved(result, move)
    found: Result = moved
    return found


def _moved(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, Named):
        results = {name: _moved(each, move) for name, each in value.items()}
        return value if all(results[name] is each for name, each in value.items()) else Named(value.kind, results)
    if isinstance(value, dict):
        changed = {name: _moved(each, move) for name, each in value.items()}
        return value if all(changed[name] is each for name, each in value.items()) else type(value)(changed)
    if type(value) in (list, tuple):
        parts = [_moved(each, move) for each in value]
        return value if all(one is other for one, other in zip(parts, value, strict=True)) else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: _moved(each, move) for name, each in fields.items()}
        if any(changed[name] is not each for name, each in fields.items()):
            return dataclasses.replace(value, **changed)
    return value
