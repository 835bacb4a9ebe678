"""Plain data: what a pickle may do so that its weights are read. It may make tensors, containers, and values of harmless kinds.

Nothing of it is ever made by Python's or PyTorch's unpickler: a pickle is run on paper (see `pickles`), and the tensors are
built here, from the bytes that were checked. Names are compared with a list and never imported. It is also looked at what
the tensors claim: none may be larger than the numbers that the file holds for it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trojancam.errors import ModelError
from trojancam.formats.weights.inert import INERT, is_harmless
from trojancam.formats.weights.pickles import Call, Entries, Global, Pickle, Reference
from trojancam.formats.weights.tensors import View, check_shares, within

KINDS = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64,
}  # fmt: skip
TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
PARAMETER = "torch._utils._rebuild_parameter"
DICT = "collections.OrderedDict"
DICTS = (DICT, "collections.defaultdict")
CALLED = (*TENSOR, PARAMETER, "torch.Size", "torch.device", "_codecs.encode")
BYTES = "builtins.bytearray"
FILLS = ("BUILD", "APPENDS")
LONGEST_NAME = 300

StorageSize = Callable[[str, int], int]


def check_plain(path: Path, pickle: Pickle, bytes_for: StorageSize) -> None:
    """Refuse a pickle that does anything but make tensors, containers of them, and plain values.

    `bytes_for(key, claimed)` is how many bytes the file holds for the storage of this key, which claims so many.

    Raises:
        ModelError: if it holds code, a pickled module, tensors of another kind, or ones larger than what the file holds.
    """
    _check_names(path, pickle)
    for call in pickle.calls:
        _check_call(path, call)
    claims: dict[str, tuple[int, torch.dtype]] = {}
    for reference in pickle.references:
        key, numbers, kind = storage(path, reference)
        if claims.setdefault(key, (numbers, kind)) != (numbers, kind):
            raise ModelError(f"{path} describes its numbers {key!r} twice, and differently; do not trust either")
        if kind.itemsize * numbers > bytes_for(key, kind.itemsize * numbers):
            raise ModelError(
                f"{path} claims {kind.itemsize * numbers} bytes for the numbers {key!r}, but holds fewer; it is damaged"
            )
    views = dict.fromkeys(_view(path, call.arguments) for call in pickle.calls if _name(call.function) in TENSOR)
    check_shares(path, ((view.key, view.numbers, view.sizes) for view in views))


def entries_of(value: Any) -> dict[Any, Any] | None:
    """What a dict on paper holds, the last of each key; None if it is no dict.

    Python 3 fills an ordered dict after it was made, Python 2 hands it a list of pairs.
    """
    if isinstance(value, Entries):
        return _paired(value)
    if not isinstance(value, Call) or _name(value.function) not in DICTS or value.kind in FILLS:
        return None
    last = value.arguments[-1] if isinstance(value.arguments, tuple) and value.arguments else ()
    handed = last[: value.given] if isinstance(last, list) else []
    flat = handed if isinstance(last, Entries) else [part for pair in handed if _is_pair(pair) for part in pair]
    return {**_paired(flat), **_paired(value.items)}


def view_of(path: Path, value: Any) -> View | None:
    """Where a tensor on paper, or a parameter, has its numbers; None if it is no tensor.

    Raises:
        ModelError: if it is one of a kind that is not read.
    """
    if isinstance(value, Call) and _name(value.function) == PARAMETER and isinstance(value.arguments, tuple):
        value = next(iter(value.arguments), None)
    if isinstance(value, Call) and value.kind == "REDUCE" and _name(value.function) in TENSOR:
        return _view(path, value.arguments)
    return None


def versions_of(value: Any) -> dict[str, int]:
    """The versions that the modules of a state dict had, by their names: PyTorch writes them beside the dict."""
    states = value.states if isinstance(value, Call) else []
    for state in states:
        listed = entries_of((entries_of(state) or {}).get("_metadata")) or {}
        said = {name: (entries_of(about) or {}).get("version") for name, about in listed.items()}
        return {name: version for name, version in said.items() if isinstance(name, str) and type(version) is int}
    return {}


def in_words(value: Any) -> str:
    """What a value on paper is, for a sentence."""
    held = entries_of(value)
    if held is not None:
        keys = ", ".join(str(key)[:40] for key in list(held)[:5])
        return f"a dict of {keys}" if keys else "an empty dict"
    if isinstance(value, Call):
        name = _name(value.function)
        return "a Tensor" if name in (*TENSOR, PARAMETER) else f"a {(name or 'object').rpartition('.')[2][:60]}"
    return f"a {type(value).__name__}"


def storage(path: Path, reference: Any) -> tuple[str, int, torch.dtype]:
    """The key of a storage, how many numbers it claims, and of what kind.

    Raises:
        ModelError: if it is of a kind that is not read.
    """
    match getattr(reference, "identity", None):
        case ("storage", Global(name), str(key), str(), int(numbers), *views) if numbers >= 0 and key.isalnum():
            kind = KINDS.get(name.removeprefix("torch.").removesuffix("Storage"))
            if kind is not None and not any(views):
                return key, numbers, kind
    raise ModelError(f"{path} holds tensors of a kind that is not read here; save them as safetensors or dense tensors")


def _check_names(path: Path, pickle: Pickle) -> None:
    foreign = [name for name in pickle.names if not is_harmless(name)]
    if not foreign:
        return
    named = f"{', '.join(name[: LONGEST_NAME // 3] for name in foreign[:3])}{' and more' if len(foreign) > 3 else ''}"
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
    """Only what makes tensors, containers and plain values is called; only these are filled or have anything set."""
    if call.kind in FILLS and isinstance(call.function, Call):
        name = _name(call.function.function)
        if name in INERT:
            return
    else:
        name = _name(call.function)
        if name in INERT or (call.kind == "REDUCE" and name in CALLED and isinstance(call.arguments, tuple)):
            return
        if name == BYTES and call.kind == "REDUCE" and _is_text(call.arguments):
            return
    what = name or "what is not known before"
    raise ModelError(
        f"{path} asks for {what[:LONGEST_NAME]} while it is loaded, which plain weights never do; "
        "get them as safetensors or a plain state_dict"
    )


def _is_text(arguments: Any) -> bool:
    """Whether bytes are made of bytes or of text, and not of a number: that would ask for so many."""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else None
    return isinstance(first, bytes) or (isinstance(first, Call) and _name(first.function) == "_codecs.encode")


def _name(function: Any) -> str:
    return function.name.replace("__builtin__.", "builtins.", 1) if isinstance(function, Global) else ""


def _view(path: Path, arguments: Any) -> View:
    """Where a tensor lies: inside its storage, and with no more numbers than that has."""
    match arguments:
        case (Reference() as reference, int(offset), tuple(sizes), tuple(strides), *more) if (
            _are_extents(offset, *sizes, *strides) and len(sizes) == len(strides) and not any(more[2:])
        ):
            key, numbers, kind = storage(path, reference)
            if within(numbers, offset, sizes, strides):
                return View(key, kind, numbers, offset, sizes, strides)
            raise ModelError(
                f"{path} holds a tensor of shape {sizes} over {numbers} numbers, which are too few; it is damaged"
            )
    raise ModelError(f"{path} holds tensors of a kind that is not read here; save them as safetensors or dense tensors")


def _are_extents(*numbers: Any) -> bool:
    return all(type(number) is int and 0 <= number < 1 << 48 for number in numbers) and len(numbers) < 100


def _paired(entries: list[Any]) -> dict[Any, Any]:
    return {key: value for key, value in zip(entries[::2], entries[1::2], strict=False) if _hashable(key)}


def _hashable(key: Any) -> bool:
    """Keys that count: names and numbers; whatever else a dict is keyed by is no state dict's."""
    return isinstance(key, str | int | float | bytes | None)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2
