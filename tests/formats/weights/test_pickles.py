"""Pickles: what is listed is what Python's own unpickler would import, and listing runs nothing."""

import builtins
import datetime
import decimal
import functools
import io
import os
import pickle
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from tests.formats.hostile_pytorch import Reduced, Restored, code, in_extensions, in_old_opcodes, small

from trojancam.formats.weights.pickles import UNKNOWN, NoPickleError, globals_of, look_at

OBJECTS: dict[str, Any] = {
    "plain": {"a": [1, -2, 3.5, None, True, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], b"b": {1, 2}, "c": 1 << 80},
    "frozen set": frozenset({1, 2}),
    "bytes": [b"x" * 300, bytearray(b"y" * 300), "ä" * 300],
    "containers": [OrderedDict(a=1), defaultdict(list, b=[2]), Counter("aab")],
    "values": [datetime.datetime(2020, 1, 1), decimal.Decimal("1.5"), complex(1, 2), PurePosixPath("a/b")],
    "functions": [len, os.getpid, functools.partial(print, 1), dict.fromkeys],
    "arrays": [np.arange(5.0), np.float32(3), np.array(["a", None], dtype=object)],
    "module": small(),
    "the same again": [Path("a"), Path("a"), Path],
}


class Recording(pickle.Unpickler):
    """Python's unpickler, which says what it imports."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.found: set[Any] = set()

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        self.found.add(found)
        return found


def resolved(name: str, protocol: int) -> Any:
    """What a listed name stands for."""
    module, _, attribute = name.rpartition(".")
    return pickle.loads(f"\x80\x02c{module}\n{attribute}\n.".encode("latin1")) if protocol < 3 else _attribute(name)


def _attribute(name: str) -> Any:
    import importlib

    parts = name.split(".")
    for place in range(len(parts) - 1, 0, -1):
        try:
            return functools.reduce(getattr, parts[place:], importlib.import_module(".".join(parts[:place])))
        except (ImportError, AttributeError):
            continue
    raise AssertionError(name)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", OBJECTS)
def test_names_are_those_that_python_would_import(name: str, protocol: int) -> None:
    content = pickle.dumps(OBJECTS[name], protocol=protocol)
    recording = Recording(content)
    recording.load()
    assert {id(resolved(found, protocol)) for found in globals_of(content)} == {id(found) for found in recording.found}


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    for item in (code(canary), Restored(canary), Reduced(builtins.eval, f"open({str(canary)!r}, 'w')")):
        pickle_ = look_at(io.BytesIO(pickle.dumps({"a": item}, protocol=protocol)))
        assert pickle_.names
        assert pickle_.calls
        assert not canary.exists()
    pickle.loads(pickle.dumps(code(canary), protocol=protocol))
    assert canary.exists()  # so it was a canary


def test_calls_and_what_is_set() -> None:
    found = look_at(io.BytesIO(pickle.dumps([OrderedDict(a=1), Reduced(os.getenv, "x", 2)], protocol=2)))
    assert [(call.kind, getattr(call.function, "name", ""), call.arguments) for call in found.calls] == [
        ("REDUCE", "collections.OrderedDict", ()),
        ("APPENDS", "", ("a", 1)),
        ("REDUCE", "os.getenv", ("x", 2)),
    ]
    state = look_at(io.BytesIO(pickle.dumps(Restored(Path("a")), protocol=2)))
    assert [call.kind for call in state.calls] == [
        "REDUCE" if state.calls[0].kind == "REDUCE" else "NEWOBJ",
        *[call.kind for call in state.calls[1:]],
    ]
    assert state.calls[-1].kind == "BUILD"


def test_old_opcodes_extensions_and_names_that_are_made_up(tmp_path: Path) -> None:
    assert globals_of(in_old_opcodes(tmp_path)) == ("os.system",)
    assert globals_of(in_extensions(tmp_path)) == ("extension registry.5",)
    made_up = b"\x80\x04" + pickle.dumps(len, protocol=4)[2:-1] + b"\x8c\x01a\x93."
    assert globals_of(made_up) == ("builtins.len", UNKNOWN)


def test_a_name_from_the_memo() -> None:
    content = b"\x80\x04" + b"\x8c\x05posix\x940" + b"\x8c\x06system\x940" + b"h\x00h\x01\x93."
    assert globals_of(content) == ("posix.system",)
    assert pickle.loads(content) is os.system


def test_references_are_kept_apart() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, item: object) -> object:
            return ("storage", str(item)) if isinstance(item, int) else None

    for protocol in (0, 2, 4):
        buffer = io.BytesIO()
        Pickler(buffer, protocol=protocol).dump([1, "a", 2])
        identities = [reference.identity for reference in look_at(io.BytesIO(buffer.getvalue())).references]
        assert identities == (
            [("storage", "1"), ("storage", "2")] if protocol else ["('storage', '1')", "('storage', '2')"]
        )


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"hello", b"\x80\x02", b"0.", b"\x80\x02t.", b"\x80\x02h\x09.", b"\x80\x02R."]
)
def test_what_is_no_pickle(content: bytes) -> None:
    with pytest.raises(NoPickleError):
        look_at(io.BytesIO(content))
    assert globals_of(content) == ()


def test_what_was_found_before_a_pickle_breaks_off_is_kept() -> None:
    content = pickle.dumps([code(Path("x")), "a" * 100])
    assert globals_of(content[:-50]) == ("posix.system",)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02" + b"(" * 3_000 + b".",
        b"\x80\x02)" + b"\x85" * 3_000,
        b"\x80\x02]" + b"2" * 3_000,
    ],
    ids=["marks", "nested tuples", "copies"],
)
def test_long_pickles_are_given_up(content: bytes) -> None:
    """How long that takes for as many steps as are allowed is measured with the hostile files."""
    with pytest.raises(NoPickleError, match="more than 2000 steps"):
        look_at(io.BytesIO(content), 2_000)


def test_huge_lengths_and_numbers_are_no_trouble() -> None:
    for content in (
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"abc.",  # a string of nine quintillion bytes
        b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.",
        b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
        b"L" + b"9" * 1_000_000 + b"L\n.",
        b"I" + b"9" * 1_000_000 + b"\n.",
    ):
        assert globals_of(content) == ()
