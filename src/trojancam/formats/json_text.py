"""JSON in files: read only where it has no more parts than a model needs, so that it takes a moment and little memory."""

import json
from typing import Any

MOST_PARTS = 500_000  # values and pairs; a network of a thousand layers has two hundred thousand


def json_in(text: str | bytes, **how: Any) -> Any:
    """What JSON says; `how` is as for `json.loads`.

    Raises:
        ValueError: if it is no JSON, or has too many parts: seven million empty lists fit into twenty megabytes.
        RecursionError: if it is nested too deeply.

    >>> json_in('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    check_parts(text)
    return json.loads(text, **how)


def check_parts(text: str | bytes) -> None:
    """Refuse JSON of too many parts, without reading it.

    Raises:
        ValueError: if there are too many.
    """
    signs: Any = (b"[", b"{", b",") if isinstance(text, bytes) else ("[", "{", ",")
    if sum(map(text.count, signs)) > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")
