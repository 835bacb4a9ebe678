"""Plain values of a configuration: what may be handed to Keras as it is, and what a file says instead."""

import math
from typing import Any

Config = dict[str, Any]
LONGEST_LIST, LONGEST_TEXT, LARGEST_NUMBER = 100_000, 256, 10**6
LOOKED_UP = {"build_config", "class_name", "compile_config", "config", "module", "registered_name", "shared_object_id"}
OWN_CODE = "ask for the same model without it"


class RefusedError(Exception):
    """Something in a file that no model needs, in words that follow the file's name."""


def plain(value: object, where: str, depth: int = 0) -> Any:
    """A number, a short text, or a list of these, none of it excessive.

    Raises:
        RefusedError: if it is anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST_NUMBER and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable():
        return value
    if isinstance(value, list) and len(value) <= LONGEST_LIST and depth < 4:
        return [plain(item, where, depth + 1) for item in value]
    raise RefusedError(f"gives {where} an argument that is no plain one ({shown(value)}); {OWN_CODE}")


def check_key(key: str) -> str:
    """The name of an argument; ones by which Keras would take arguments for something to build are refused.

    Raises:
        RefusedError: if it is one of these.
    """
    if key in LOOKED_UP or len(key) > LONGEST_TEXT or not key.isprintable():
        raise RefusedError(f"has an argument of the name {shown(key)}, which no layer has; do not use it")
    return key


def mapping(value: object, what: str) -> Config:
    """The value, which should be a mapping.

    Raises:
        RefusedError: if it is none.
    """
    if not isinstance(value, dict):
        raise RefusedError(f"is damaged: {what} is not as Keras writes it; get it again from its source")
    return value


def sequence(value: object) -> list[Any]:
    """The value, which should be a list.

    Raises:
        RefusedError: if it is none, or longer than any of a model.
    """
    if not isinstance(value, list) or len(value) > LONGEST_LIST:
        raise RefusedError("is damaged: its configuration is not as Keras writes it; get it again from its source")
    return value


def plain_name(value: object) -> str:
    """A name that Keras takes.

    Raises:
        RefusedError: if it is none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or not value.isprintable():
        raise RefusedError(f"gives a layer the name {shown(value)}; save it with plain names")
    return value.replace("/", "_").replace(".", "_")  # Keras 3 on PyTorch has neither in names


def is_integer(value: object) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value from a file, for a sentence: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
