"""Code in pickles is real: careless loaders run it, ours never; and damage at random gives a module or an error."""

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.hostile_pytorch import (
    CARELESS,
    legacy,
    plain_program,
    plain_zip,
    read,
)
from tests.formats.hostile_safetensors import plain

from trojancam.errors import ModelError
from trojancam.formats.code_inside import would_run


def carelessly(path: Path) -> None:
    """Read a file as people do who trust it."""
    loaders: list[Callable[[], Any]] = [
        lambda: torch.load(path, weights_only=False),
        lambda: torch.export.load(path),
        lambda: pickle.loads(path.read_bytes()),
        lambda: np.load(path, allow_pickle=True),
        lambda: np.load(path, allow_pickle=True)["arr_0"],
    ]
    for load in loaders:
        try:
            load()
        except Exception:
            continue


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CARELESS)
def test_the_code_is_real(tmp_path: Path, name: str) -> None:
    """The loaders of PyTorch, NumPy and Python run what ours refuse."""
    path = CARELESS[name](tmp_path, tmp_path / "canary")
    would_run(path)
    with pytest.raises(ModelError):
        read(path)
    assert not (tmp_path / "canary").exists()
    carelessly(path)
    assert (tmp_path / "canary").exists()


# --- damage at random ---


FILES = {"m.pt": plain_zip, "legacy.pt": legacy, "m.safetensors": plain, "m.pt2": plain_program}


def read_or_refused(path: Path, content: bytes) -> None:
    """A damaged file gives a module or a ModelError, and nothing else; so does looking at what it would run."""
    path.write_bytes(content)
    for look in (read, would_run):
        with contextlib.suppress(ModelError):
            look(path)


def damaged(content: bytes, places: list[tuple[float, int]], kept: float) -> bytes:
    """Some bytes changed, most of them where the file says something of itself, and the end cut off."""
    changed = bytearray(content)
    for place, value in places:
        changed[int(place * (len(changed) - 1))] ^= value
    return bytes(changed[: max(1, round(kept * len(changed)))])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damage_gives_a_module_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, places: list[tuple[float, int]], kept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    read_or_refused(path, damaged(FILES[name](), places, kept))


@pytest.mark.parametrize("name", FILES)
def test_every_byte_that_counts_may_flip(tmp_path: Path, name: str) -> None:
    """A walk through the file in steps, one flipped bit at a time."""
    content = FILES[name]()
    for place in range(0, len(content), max(1, len(content) // 60)):
        read_or_refused(tmp_path / name, damaged(content, [(place / (len(content) - 1), 1 << (place % 8))], 1.0))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(steps=st.binary(max_size=60))
def test_random_pickles_give_an_error(tmp_path_factory: pytest.TempPathFactory, steps: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.pt"
    read_or_refused(path, b"\x80\x02" + steps + b".")
