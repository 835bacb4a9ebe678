"""Plain results: what a module returns, as the dicts, lists and tuples that PyTorch's exporter knows."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from trojancam.errors import ModelError

KNOWN = (Tensor, type(None), bool, int, float, str, torch.SymInt, torch.SymFloat, torch.SymBool)
"""What a graph can return: tensors, and constants."""
CONSTANTS = (complex, bytes, bytearray, Enum, torch.dtype, torch.device)  # no tensors either: their words will do
DEEPEST = 20  # results in results: an object that holds itself has no end


@contextmanager
def plain_results(module: nn.Module) -> Iterator[None]:
    """The module returns plain results meanwhile: the exporter knows no kinds of somebody's own."""
    before = vars(module).get("forward")
    forward = module.forward

    @functools.wraps(forward)
    def plain(*args: Any, **named: Any) -> Any:
        return in_plain_kinds(forward(*args, **named))

    module.forward = plain
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


def in_plain_kinds(result: Any, depth: int = 0) -> Any:
    """The result with a dict for each mapping, dataclass or object with tensors in it, and a list for each other sequence.

    Raises:
        ModelError: if it holds an object of another kind.

    >>> from types import SimpleNamespace
    >>> in_plain_kinds((SimpleNamespace(logits=torch.ones(2), name="mine"), 3))
    ({'logits': tensor([1., 1.])}, 3)
    """
    if isinstance(result, KNOWN):
        return result
    if isinstance(result, CONSTANTS):
        return str(result)
    plain = _opened(result, depth) if depth < DEEPEST else None
    if plain is None:
        kind = type(result)
        raise ModelError(
            f"this module returns an object of the kind {kind.__module__}.{kind.__qualname__}, in which no tensors are found; "
            "return a tensor, or a dict of tensors"
        )
    return plain


def _opened(result: Any, depth: int) -> Any:
    """What an object holds; None if it is of no kind that holds results."""
    if isinstance(result, Mapping):
        return {key: in_plain_kinds(value, depth + 1) for key, value in result.items()}
    if isinstance(result, Sequence):
        return _in_plain_sequence(result, depth)
    if type(result) in pytree.SUPPORTED_NODES:  # its author has told PyTorch what it holds
        return result
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        parts = {field.name: getattr(result, field.name, None) for field in dataclasses.fields(result)}
        return {name: in_plain_kinds(part, depth + 1) for name, part in parts.items() if part is not None}
    return _with_tensors(result, depth) or None


def _in_plain_sequence(result: Sequence[Any], depth: int) -> Any:
    """A tuple stays one, with the names of its parts where it has any; others become lists."""
    parts = [in_plain_kinds(part, depth + 1) for part in result]
    if not isinstance(result, tuple):
        return parts
    names = getattr(result, "_fields", None)  # those of a named tuple
    if names is not None and hasattr(result, "_make"):
        return dict(zip(names, parts, strict=True))
    return tuple(parts)


def _with_tensors(result: Any, depth: int) -> dict[str, Any]:
    """The public attributes of an object that are tensors, or hold some."""
    if isinstance(result, nn.Module | type):
        return {}
    found: dict[str, Any] = {}
    for name, value in getattr(result, "__dict__", {}).items():
        if name.startswith("_"):
            continue
        try:
            plain = in_plain_kinds(value, depth + 1)
        except ModelError:  # it is no result, then
            continue
        if any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(plain)):
            found[name] = plain
    return found
