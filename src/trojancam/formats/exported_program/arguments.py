"""Arguments of an exported program's steps: numbers, names of values, and nothing else that JSON can say."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trojancam.formats.exported_program.expressions import Json

LARGEST_NUMBER = 1 << 40
ENDLESS_SLICE = (1 << 63) - 1  # the end of a slice that goes to the end
NUMBERS = {1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 12: torch.bool}
FLOATS = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
MEMORY = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
ENDLESS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


@dataclass(frozen=True)
class Value:
    """A value by its name: that of a weight, of the images, or of what an earlier step gave."""

    name: str


def filled(arguments: Any, values: Mapping[str, Any]) -> Any:
    """Arguments with the values that they name."""
    if isinstance(arguments, Value):
        return values[arguments.name]
    if isinstance(arguments, list | tuple):
        return type(arguments)(filled(item, values) for item in arguments)
    if isinstance(arguments, dict):
        return {name: filled(item, values) for name, item in arguments.items()}
    return arguments


def text(said: Any) -> str:
    """What must be text."""
    if not isinstance(said, str):
        raise TypeError("text")
    return said


def whole(said: Any) -> int:
    """What must be a whole number."""
    if type(said) is not int or (abs(said) > LARGEST_NUMBER and said != ENDLESS_SLICE):
        raise ValueError("a whole number of some size")
    return said


def _float(said: Any) -> float:
    if isinstance(said, str):
        return ENDLESS[said]
    if type(said) not in (int, float):
        raise TypeError("a number")
    return float(said)


def _bool(said: Any) -> bool:
    if type(said) is not bool:
        raise TypeError("true or false")
    return said


def _number_or_value(said: Json) -> Any:
    """A size: a number, or the name of one that an earlier step gave."""
    ((kind, what),) = said.items()
    if kind == "as_name":
        return Value(text(what))
    return {"as_int": whole, "as_bool": _bool, "as_float": _float}[kind](what)


def _tensor(said: Json) -> Value:
    return Value(text(said["name"]))


def _optional(said: Json) -> Value | None:
    return _tensor(said["as_tensor"]) if "as_tensor" in said else None


def _kind(said: int) -> torch.dtype:
    """A type of number; all floats become 32-bit ones, as the weights do."""
    return torch.float32 if said in FLOATS else NUMBERS[said]


def _layout(said: int) -> torch.layout:
    if said != 7:
        raise ValueError("a dense layout")
    return torch.strided


PLAIN: dict[str, Callable[[Any], Any]] = {
    "as_none": lambda _: None,
    "as_tensor": _tensor,
    "as_optional_tensor": _optional,
    "as_int": whole,
    "as_float": _float,
    "as_bool": _bool,
    "as_string": text,
    "as_sym_int": _number_or_value,
    "as_sym_bool": _number_or_value,
    "as_sym_float": _number_or_value,
    "as_scalar_type": _kind,
    "as_memory_format": lambda said: MEMORY[said],
    "as_layout": _layout,
    "as_device": lambda _: torch.device("cpu"),
}
LISTS: dict[str, Callable[[Any], Any]] = {
    "as_tensors": _tensor,
    "as_optional_tensors": _optional,
    "as_ints": whole,
    "as_floats": _float,
    "as_bools": _bool,
    "as_sym_ints": _number_or_value,
    "as_sym_bools": _number_or_value,
    "as_sym_floats": _number_or_value,
}
