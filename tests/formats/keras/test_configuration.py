"""A configuration with any value at any place is rebuilt, or refused in words: no other exception comes of it."""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ["KERAS_BACKEND"] = "torch"
from tests.formats.keras_nets import built

from trojancam.formats.keras.configuration import Rebuilding, rebuilt
from trojancam.formats.keras.plain_values import RefusedError

OTHERS = (
    None,
    True,
    -1,
    0.5,
    1e999,
    "",
    "relu",
    [],
    [[]],
    [None],
    {},
    {"class_name": {}},
    {"class_name": [], "config": 0},
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all values within, and to the whole."""
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*way, key))


def kinds_of_places(config: Any) -> list[tuple[Any, ...]]:
    """One way to each kind of place: the keys on the way, and the class of the innermost layer."""
    found = {}
    for way in places(config):
        layer, at = None, config
        for key in way:
            at = at[key]
            layer = at["class_name"] if isinstance(at, dict) and isinstance(at.get("class_name"), str) else layer
        found.setdefault((layer, *(key for key in way if isinstance(key, str))), way)
    return list(found.values())


def changed(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    """A copy, with another value at the end of the way; what is beside the way is shared."""
    if not way:
        return other
    made = copy.copy(value)
    made[way[0]] = changed(value[way[0]], way[1:], other)
    return made


@pytest.mark.parametrize("name", ["attentive", "nested"])
def test_any_value_at_any_place(name: str) -> None:
    config = json.loads(built(name).to_json())
    taken, said = 0, set[str]()
    for way in kinds_of_places(config):
        for other in OTHERS:
            try:
                rebuilt(changed(config, way, other), Rebuilding(dict))
                taken += 1
            except RefusedError as refusal:
                said.add(str(refusal))
    assert taken  # names and the like can be anything
    assert all(said)
    assert len(said) > 20
