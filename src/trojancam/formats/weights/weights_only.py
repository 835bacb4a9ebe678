"""Weights only: what a pickle may do so that PyTorch may be asked to load it. It may make tensors, and dicts of them.

PyTorch's own `weights_only` refuses names that it does not know. This comes before, and knows fewer; it also looks at what
the tensors claim: none may be larger than the numbers that the file holds for it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.code_inside import is_harmless
from trojancam.formats.weights.pickles import Call, Global, Pickle, Reference

TIMES = 2  # that the numbers of a storage may be used, all tensors together: few share them
BYTES = {  # of one number in a storage
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    "ComplexDouble": 16,
    **dict.fromkeys(("Float", "Int"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Byte", "Char", "Bool"), 1),
}
TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
DICT = "collections.OrderedDict"
CALLED = (
    *TENSOR,
    DICT,
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "_codecs.encode",
    "builtins.set",
)

StorageSize = Callable[[str, int], int]


def check_weights_only(path: Path, pickle: Pickle, bytes_for: StorageSize) -> None:
    """Refuse a pickle that does anything but make tensors and dicts of them.

    `bytes_for(key, claimed)` is how many bytes the file holds for the storage of this key, which claims so many.

    Raises:
        ModelError: if it holds code, a pickled module, tensors of another kind, or ones larger than what the file holds.
    """
    _check_names(path, pickle)
    for call in pickle.calls:
        _check_call(path, call)
    for reference in pickle.references:
        key, numbers, size = _storage(path, reference)
        if size * numbers > bytes_for(key, size * numbers):
            raise ModelError(
                f"{path} claims {size * numbers} bytes for the numbers {key!r}, but holds fewer; it is damaged"
            )
    views = dict.fromkeys(_view(path, call.arguments) for call in pickle.calls if _name(call.function) in TENSOR)
    check_shares(path, ((key, numbers, sizes) for key, numbers, _, sizes, _ in views))


def _check_names(path: Path, pickle: Pickle) -> None:
    foreign = [name for name in pickle.names if not is_harmless(name)]
    if not foreign:
        return
    named = f"{', '.join(foreign[:3])}{' and more' if len(foreign) > 3 else ''}"
    if any(name.startswith("torch.nn.") for name in foreign):
        raise ModelError(
            f"{path} holds a pickled module ({named}), which runs code when loaded; "
            "save its state_dict instead, and name the architecture"
        )
    raise ModelError(
        f"{path} would import {named} if it were loaded, and so run code; nothing of it was run; "
        "get the weights as safetensors or a plain state_dict"
    )


def _check_call(path: Path, call: Call) -> None:
    """Only what makes tensors and dicts is called; only dicts are filled or have anything set."""
    name = _name(call.function)
    fills = call.kind in ("BUILD", "APPENDS")
    if fills and isinstance(call.function, Call) and _name(call.function.function) == DICT:
        return
    if not fills and call.kind == "REDUCE" and name in CALLED and isinstance(call.arguments, tuple):
        return
    what = name or "what is not known before"
    raise ModelError(
        f"{path} asks for {what} while it is loaded, which plain weights never do; get them as safetensors or a plain state_dict"
    )


def _name(function: Any) -> str:
    return function.name.replace("__builtin__.", "builtins.", 1) if isinstance(function, Global) else ""


def _storage(path: Path, reference: Any) -> tuple[str, int, int]:
    """The key of a storage, how many numbers it claims, and the bytes of each."""
    match getattr(reference, "identity", None):
        case ("storage", Global(name), str(key), str(), int(numbers), *_) if numbers >= 0 and key.isalnum():
            size = BYTES.get(name.removeprefix("torch.").removesuffix("Storage"))
            if size is not None:
                return key, numbers, size
    raise ModelError(f"{path} holds tensors of a kind that is not read here; save them as safetensors or dense tensors")


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


View = tuple[str, int, int, tuple[int, ...], tuple[int, ...]]


def _view(path: Path, arguments: Any) -> View:
    """Where a tensor lies: inside its storage, and with no more numbers than that has."""
    match arguments:
        case (Reference() as reference, int(offset), tuple(sizes), tuple(strides), *_) if _are_extents(
            offset, *sizes, *strides
        ) and len(sizes) == len(strides):
            key, numbers, _ = _storage(path, reference)
            if within(numbers, offset, sizes, strides):
                return key, numbers, offset, sizes, strides
            raise ModelError(
                f"{path} holds a tensor of shape {sizes} over {numbers} numbers, which are too few; it is damaged"
            )
    raise ModelError(f"{path} holds tensors of a kind that is not read here; save them as safetensors or dense tensors")


def _are_extents(*numbers: Any) -> bool:
    return all(type(number) is int and 0 <= number < 1 << 48 for number in numbers) and len(numbers) < 100


def within(numbers: int, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a tensor so laid out lies within so many numbers, and repeats none of them."""
    if 0 in sizes:
        return offset <= numbers
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return last < numbers and math.prod(sizes) <= numbers


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
