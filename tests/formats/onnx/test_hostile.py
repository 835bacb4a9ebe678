"""Hostile ONNX files: the sentences say what is wrong, and damage at random gives a network or an error."""

import random
from pathlib import Path

import pytest
from tests.formats.hostile_cases import Outcome
from tests.formats.hostile_onnx import HOSTILE, network, written

from trojancam.errors import ModelError
from trojancam.formats.onnx.reader import read_onnx


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
def test_the_sentence_names_what_is_wrong(name: str, words: str, hostile: dict[str, Outcome]) -> None:
    assert words in hostile[f"ONNX: {name}"].said


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


def test_what_opening_refuses_by_its_kind_is_refused_by_the_reader_too(tmp_path: Path) -> None:
    """The reader is given whatever is called `.onnx`, or begins like one."""
    for name in ("empty file", "text", "random bytes", "zeros", "message without a graph", "a folder"):
        (tmp_path / name).mkdir()
        with pytest.raises(ModelError):
            read_onnx(HOSTILE[name](tmp_path / name))
