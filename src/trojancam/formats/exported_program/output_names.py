"""Names of an exported program's outputs: the keys, fields and places of what its author's module returned."""

import json
from collections.abc import Iterator
from typing import Any

from trojancam.formats.exported_program.expressions import Json

DEEPEST = 16


def names_of_outputs(module: Json, count: int) -> tuple[str, ...]:
    """What the `count` results are called: `logits`, or `1` in a tuple, or `heads.0` where one holds others.

    Where the file does not say it, or says it of another number of results, they are called by their numbers.

    >>> leaf = {"type": None, "context": None, "children_spec": []}
    >>> returned = {"type": "builtins.dict", "context": '["logits", "maps"]', "children_spec": [leaf, leaf]}
    >>> names_of_outputs({"module_call_graph": [{"signature": {"out_spec": json.dumps([1, returned])}}]}, 2)
    ('logits', 'maps')
    """
    try:
        said = module["module_call_graph"][0]["signature"]["out_spec"]
        names = tuple(".".join(path) or "0" for path in _leaves(json.loads(said)[1], ()))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        names = ()
    return names if len(set(names)) == count == len(names) else tuple(str(number) for number in range(count))


def _leaves(structure: Json, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The way to each result: the names of what holds it, from the outside in."""
    if structure["type"] is None or len(path) > DEEPEST:
        yield path
        return
    parts = structure["children_spec"]
    for name, part in zip(_parts(structure["context"], len(parts)), parts, strict=True):
        yield from _leaves(part, (*path, name))


def _parts(context: Any, count: int) -> list[str]:
    """The keys of a dict or the fields of a dataclass, where the file lists as many; else numbers."""
    said = json.loads(context) if isinstance(context, str) else None
    for names in (said, *(said if isinstance(said, list) else ())):
        if isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names):
            return names
    return [str(number) for number in range(count)]
