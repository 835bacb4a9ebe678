"""Calls of layers: which results of others each is given, and which arguments; and the numbers that stand among them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trojancam.formats.keras.allowed import NUMBER_TYPES
from trojancam.formats.keras.plain_values import (
    LARGEST_NUMBER,
    OWN_CODE,
    Config,
    RefusedError,
    check_key,
    is_integer,
    mapping,
    plain,
    plain_name,
    sequence,
    shown,
)

MOST_CALLS = 5_000


def call_of_layer(node: object) -> Any:
    """One call of a layer: on which results of other layers, and with which arguments.

    Raises:
        RefusedError: if it is given anything else.
    """
    if isinstance(node, list):  # as Keras 2 writes it
        return [_old_source(source) for source in node]
    call = mapping(node, "a call")
    positional = _call_argument(sequence(call.get("args")))
    return {"args": positional, "kwargs": _named(mapping(call.get("kwargs"), "a call"))}


def _old_source(source: object) -> list[Any]:
    parts = sequence(source)
    if len(parts) not in (3, 4):
        raise RefusedError("does not say plainly how its layers are connected; save it again with Keras")
    return [*_reference(parts[:3]), _named(mapping(parts[3] if len(parts) == 4 else {}, "a call"))]


def _named(arguments: Mapping[str, Any]) -> Config:
    """Arguments by name, but for those that Keras sets anew whenever a model is run."""
    kept = {check_key(key): value for key, value in arguments.items() if key not in ("training", "mask")}
    return {key: _call_argument(value) for key, value in kept.items()}


def _call_argument(value: object) -> Any:
    """An argument of a call: a result of another layer, a plain value, or a list of these."""
    if isinstance(value, list):
        return [_call_argument(item) for item in value]
    if not isinstance(value, dict):
        return plain(value, "a call")
    tensor = mapping(value.get("config"), "a call")
    kind = value.get("class_name")
    if isinstance(kind, str) and kind in _CONSTANTS:
        return _CONSTANTS[kind](tensor)
    if kind != "__keras_tensor__":
        raise RefusedError(f"hands its layers {shown(kind)}, not results of others; {OWN_CODE}")
    shape = [None, *[side if is_integer(side) else None for side in sequence(tensor.get("shape"))[1:]]]
    history = _reference(sequence(tensor.get("keras_history")))
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "dtype": "float32", "keras_history": history},
    }


def _ellipsis(_: Config) -> Config:
    return {"class_name": "__ellipsis__", "config": {}}


def _slice(config: Config) -> Config:
    """A part of an axis, by whole numbers."""
    ends = {key: config.get(key) for key in ("start", "stop", "step")}
    if not all(end is None or (is_integer(end) and abs(end) <= LARGEST_NUMBER) for end in ends.values()):
        raise RefusedError(f"takes a part of its images from {shown(ends)}; give a classifier of images")
    return {"class_name": "__slice__", "config": ends}


def _array(config: Config) -> Config:
    """Numbers that stand in the configuration, such as the mean that is subtracted of images."""
    dtype = str(config.get("dtype"))
    if dtype not in NUMBER_TYPES:
        raise RefusedError(f"holds numbers of the type {shown(dtype)}; save it with 32-bit numbers")
    values = plain(config.get("value"), "a call")
    if not _is_rectangular(values):
        raise RefusedError("is damaged: numbers in its configuration are no whole array; get it again from its source")
    return {"class_name": "__numpy__", "config": {"value": values, "dtype": dtype if "int" in dtype else "float32"}}


def _is_rectangular(value: Any) -> bool:
    """Whether nested lists of numbers have the same length everywhere."""
    try:
        return bool(np.asarray(value, np.float64).size) and not isinstance(value, str)
    except (TypeError, ValueError):
        return False


_CONSTANTS: dict[str, Callable[[Config], Config]] = {
    "__ellipsis__": _ellipsis,
    "__numpy__": _array,
    "__slice__": _slice,
    "__tensor__": _array,
}


def references(value: object) -> Any:
    """Which results of layers a model takes or gives: one, several, or several by name.

    Raises:
        RefusedError: if it is not said plainly.
    """
    if isinstance(value, dict):
        return {check_key(key): references(each) for key, each in value.items()}
    items = sequence(value)
    if items and isinstance(items[0], str):
        return _reference(items)
    return [references(item) for item in items]


def _reference(parts: list[Any]) -> list[Any]:
    match parts:
        case [str(name), int(call), int(result)] if 0 <= call <= MOST_CALLS and 0 <= result <= MOST_CALLS:
            return [plain_name(name), call, result]
    raise RefusedError("does not say plainly how its layers are connected; save it again with Keras")
