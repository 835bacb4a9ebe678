"""Hostile files: every one is refused in one sentence, in time and memory, and nothing of it has run."""

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models.readers.hostile_pytorch import (
    CARELESS,
    HOSTILE,
    plain_program,
    plain_zip,
    read,
    small,
)

from trojancam.errors import ModelError
from trojancam.models.readers.would_run import would_run

REPOSITORY = Path(__file__).parents[3]
SECONDS, KILOBYTES = 5.0, 1 << 20


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary") / "canary"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, canary: Path) -> dict[str, Any]:
    """What came of each file, read in a process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, write in HOSTILE.items():
        (folder / name).mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what no sane program writes
            write(folder / name, canary)
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.readers.hostile_pytorch", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_sentence(outcomes: dict[str, Any], name: str) -> None:
    said, seconds = outcomes["outcomes"][name]
    assert said.startswith("refused: "), said
    assert "\n" not in said
    assert name in said  # the folder of the file: its path is in the sentence
    assert seconds < SECONDS


def test_all_of_them_fit_into_a_gigabyte_and_nothing_ran(outcomes: dict[str, Any], canary: Path) -> None:
    assert outcomes["kilobytes"] < KILOBYTES
    assert not canary.exists()


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


def safetensors_file() -> bytes:
    content: bytes = safetensors.torch.save(small().state_dict())
    return content


def legacy_file() -> bytes:
    buffer = io.BytesIO()
    torch.save(small().state_dict(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


FILES = {"m.pt": plain_zip, "legacy.pt": legacy_file, "m.safetensors": safetensors_file, "m.pt2": plain_program}


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
