"""Keras code: what in a configuration Keras would look up, unmarshal or read from other files, beyond building its layers.

Nothing is built. `inspect` shows what is found; the reader does not rely on it, it rebuilds configurations from a list.
"""

from collections.abc import Iterator
from typing import Any

from trojancam.formats.json_text import json_in

OWN = ("activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "models", "ops")
OWN_MODULES = {*OWN, "optimizers", "regularizers", "quantizers"}  # of Keras: building what they hold runs nothing else
WRAPPERS = {"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"}  # which hold code, or lead to it
FILES = {"filepath", "file_path", "vocabulary"}  # arguments that may name a file
LONGEST = 200


def code_in_config(text: str | bytes) -> tuple[str, ...]:
    """What Keras would look up or unmarshal to build this configuration, each once; none where it is no JSON.

    >>> code_in_config('{"class_name": "function", "module": "os", "config": "system"}')
    ('os.system',)
    """
    return tuple(dict.fromkeys(name[:LONGEST] for entry in _entries(text) for name in _code(entry)))


def files_in_config(text: str | bytes) -> tuple[str, ...]:
    """The files that Keras would read to build this configuration.

    >>> files_in_config('{"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}')
    ('/etc/passwd',)
    """
    named = (entry[key] for entry in _entries(text) for key in FILES & entry.keys())
    return tuple(dict.fromkeys(name[:LONGEST] for name in named if isinstance(name, str)))


def _entries(text: str | bytes) -> Iterator[dict[str, Any]]:
    """All mappings in a configuration, the outer before the inner ones."""
    try:
        waiting = [json_in(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            waiting.extend(reversed(value))


def _code(entry: dict[str, Any]) -> Iterator[str]:
    name, module, registered = (entry.get(key) for key in ("class_name", "module", "registered_name"))
    if not isinstance(name, str):
        return
    if name == "__lambda__":
        yield "a function in marshalled bytecode"
    elif name in WRAPPERS:
        yield f"the Keras layer {name}"
    if isinstance(module, str) and not _is_own(module):
        yield f"{module}.{entry.get('config') if name == 'function' else name}"
    if isinstance(registered, str) and ">" in registered:
        yield f"the custom object {registered}"


def _is_own(module: str) -> bool:
    parts = [part for part in module.split(".") if part != "src"]
    return parts[0] in ("keras", "tf_keras") and (len(parts) == 1 or parts[1] in OWN_MODULES)
