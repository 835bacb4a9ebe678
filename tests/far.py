"""A device for tests: its tensors say that they lie elsewhere, are computed with on the processor, and tolerate no others.

What a GPU would refuse fails here on any machine: an operation on tensors of two devices, and NumPy on a tensor that lies
elsewhere. So does what a GPU would only be slowed down by, or get wrong: an index that lies on the processor, and a tensor that
the package makes on the default device.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import trojancam

FAR = torch.device("meta", 0)  # the one device beside the processor that every build of PyTorch lets tensors name
CPU = torch.device("cpu")
PACKAGE = str(Path(trojancam.__file__).parent)
aten = torch.ops.aten

FACTORIES = {
    torch.arange, torch.as_tensor, torch.empty, torch.empty_strided, torch.eye, torch.full, torch.linspace,
    torch.logspace, torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm, torch.scalar_tensor, torch.tensor,
    torch.tril_indices, torch.triu_indices, torch.zeros,
}  # fmt: skip
MADE_OF_DATA = {torch.tensor, torch.as_tensor}
MOVES = {aten.copy_.default, aten._to_copy.default}


class FarTensor(Tensor):
    """A tensor that says it lies on `FAR`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "FarTensor":
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=FAR, requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"FarTensor({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation, on the processor; its result is far if its tensors are, or if it is asked for there."""
    given = [value for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    far = [value for value in given if isinstance(value, FarTensor)]
    near = [value for value in given if not isinstance(value, FarTensor) and value.ndim]  # numbers may lie anywhere
    if far and near and operation not in MOVES:
        shapes = ", ".join(f"{tuple(each.shape)} on {each.device}" for each in given)
        raise RuntimeError(f"tensors of several devices in {operation}: {shapes}")
    asked = kwargs.get("device")
    becomes_far = bool(far) if asked is None else asked == FAR or asked == torch.device("meta")
    if asked is not None:
        kwargs = kwargs | {"device": CPU}
    found = operation(*pytree.tree_map(as_near, args), **pytree.tree_map(as_near, kwargs))
    assert not far or torch.Tag.inplace_view not in operation.tags, (
        f"{operation} changes the shape of a wrapper's inside"
    )
    if operation._schema.name.endswith("_"):
        return None if found is None else args[0]  # what was changed in place is what was given
    return pytree.tree_map_only(Tensor, FarTensor, found) if becomes_far else found


class _Operations(TorchDispatchMode):
    """Takes what is asked for on `FAR` there."""

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Refuses tensors that the package makes without saying where; does in Python what a subclass cannot do itself."""

    def __init__(self, by_default: bool) -> None:
        super().__init__()
        self.by_default = by_default

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        of_tensor = function is torch.as_tensor and isinstance(args[0], Tensor)
        if function in FACTORIES and kwargs.get("device") is None and not of_tensor and not self.by_default:
            _refuse(f"torch.{function.__name__} makes a tensor on the default device", sys._getframe(1))
        if function in MADE_OF_DATA and not of_tensor and kwargs.get("device") is not None:
            device = torch.device(kwargs["device"])
            return function(*args, **kwargs | {"device": CPU}).to(device)
        if args and isinstance(args[0], FarTensor):
            if function is Tensor.new_tensor:
                made = torch.tensor(*args[1:], **{"dtype": args[0].dtype} | kwargs, device=CPU)
                return made.to(FAR)
            if function is Tensor.tolist:
                return args[0].inner.tolist()
            if function is Tensor.quantile:  # PyTorch changes the shape of its result in place
                return FarTensor(args[0].inner.quantile(*args[1:], **kwargs))
            if function in (Tensor.__getitem__, Tensor.__setitem__):
                args = (args[0], _index(args[1]), *args[2:])
        return function(*args, **kwargs)


def _index(index: Any) -> Any:
    """PyTorch makes a tensor of a list, on the device of what is indexed."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    return torch.tensor(index, device=CPU).to(FAR) if isinstance(index, list) else index


def _refuse(reason: str, frame: Any) -> None:
    if frame.f_code.co_filename.startswith(PACKAGE):
        raise AssertionError(f"{reason} ({frame.f_code.co_filename}, line {frame.f_lineno})")


@contextmanager
def far_device(*, by_default: bool = False) -> Iterator[torch.device]:
    """The far device, which exists inside the block; `by_default` tensors may be made there without saying where."""
    with _Calls(by_default), _Operations():
        yield FAR


def tensors_of(found: Any) -> list[Tensor]:
    """All tensors in a result: itself, or those in its records, dicts and sequences."""
    if isinstance(found, Tensor):
        return [found]
    if is_dataclass(found) and not isinstance(found, type):
        return [each for field in fields(found) for each in tensors_of(getattr(found, field.name))]
    parts = found.values() if isinstance(found, Mapping) else found if isinstance(found, list | tuple) else ()
    return [each for part in parts for each in tensors_of(part)]


def as_near(values: Any) -> Any:
    """A tensor on the processor, with the same values; anything else as it is."""
    return values.inner if isinstance(values, FarTensor) else values
