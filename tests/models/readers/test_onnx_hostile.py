"""Hostile ONNX files: each is refused in one sentence, in a moment and in little memory; damaged ones never get further."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.models.readers import hostile_onnx
from tests.models.readers.hostile_onnx import HOSTILE, network, written

from trojancam.errors import ModelError
from trojancam.models.readers.onnx import read_onnx

MOST_SECONDS, MOST_MEMORY = 5, 10**9


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of every hostile file, in a process of its own."""
    command = [sys.executable, "-m", hostile_onnx.__name__, str(tmp_path_factory.mktemp("hostile"))]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["name"]: outcome for outcome in found}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[name]
    said = outcome["said"]
    assert outcome["path"] in said
    assert "\n" not in said
    assert len(said) - len(outcome["path"]) < 500
    assert ": " not in said[-3:]
    assert outcome["seconds"] < MOST_SECONDS
    assert outcome["peak"] < MOST_MEMORY


def test_the_network_itself_is_read(tmp_path: Path) -> None:
    opened = read_onnx(written(tmp_path, network()))
    assert opened.size == (8, 8)
    assert "conv" in dict(opened.module.named_modules())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data behind a symlink", "outside the model's folder"),
        ("data at an absolute path", "outside the model's folder"),
        ("graph that runs in a circle", "runs in a circle"),
        ("weights that are no numbers", "'conv.weight'"),
        ("quantised", "is quantised"),
        ("classes instead of logits", "gives classes, not logits"),
        ("operation of somebody else", "'RunMe' of 'com.example'"),
        ("unknown operation", "the Frobnicate node 'what'"),
        ("two inputs", "has 2 inputs (x, z)"),
        ("for the first image only", "any number of images"),
        ("huge size, tiny data", "1048576x1048576"),
        ("Resize, huge", "the Resize node 'asking'"),
    ],
)
def test_the_sentence_names_what_is_wrong(name: str, words: str, outcomes: dict[str, dict[str, Any]]) -> None:
    assert words in outcomes[name]["said"]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    """Whatever a few changed, lost or added bytes do, nothing but a ModelError comes out."""
    draw, whole, refused = random.Random(seed), network().SerializeToString(), 0
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 1, 3))):
            place = draw.randrange(len(content))
            if draw.random() < 0.6:
                content[place] ^= 1 << draw.randrange(8)
            else:
                content[place : place + draw.randrange(4)] = draw.randbytes(draw.randrange(4))
        try:
            read_onnx(written(tmp_path, bytes(content)))
        except ModelError:
            refused += 1
    assert refused > 10


def test_every_length_but_the_whole_is_refused(tmp_path: Path) -> None:
    whole = network().SerializeToString()
    for length in range(0, len(whole), 7):
        with pytest.raises(ModelError):
            read_onnx(written(tmp_path, whole[:length]))
