"""Fuzzing, the first few files of it; and what it found once."""

import json
from pathlib import Path
from random import Random

import pytest
from tests.formats.fuzzing import CORPUS
from tests.formats.mutations import damaged
from tests.formats.seeds import kept
from tests.injection import REPOSITORY
from tests.warm import Warm

FILES = 40
FUZZING = """
import os, sys, warnings
warnings.simplefilter("ignore")
os.environ["KERAS_BACKEND"] = "torch"
from tests.formats.fuzzing import main
sys.argv = ["fuzzing", {folder!r}, "--files", "{files}"]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def fuzzed(python: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fuzzer leaves behind, in a process of its own; each file in a fork of that, with the limits of the long run."""
    folder = tmp_path_factory.mktemp("fuzzed")
    done = python.run(FUZZING.format(folder=str(folder), files=FILES), REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_damaged_files_end_in_a_sentence(fuzzed: Path) -> None:
    count = json.loads((fuzzed / "count.json").read_text())
    assert (count["files"], count["faults"]) == (FILES, 0)
    assert 0 < count["largest"] < 1024  # megabytes: a figure, not one that cannot move
    assert any(end.endswith(": 2") for end in count["ends"])


@pytest.mark.filterwarnings("ignore")
def test_damage_is_the_same_for_the_same_seed_and_is_damage(fuzzed: Path) -> None:
    everything = kept(fuzzed / CORPUS)
    others = [each.content for each in everything.values()]
    assert len(everything) > 30
    for name, seed in everything.items():
        made = [damaged(seed.content, others, Random(f"{name} {number}")) for number in range(12)]
        again = [damaged(seed.content, others, Random(f"{name} {number}")) for number in range(12)]
        if not seed.file.endswith((".h5", ".keras")):  # HDF5 may write times
            assert made == again, name
        assert sum(each != seed.content for each in made) > 6, name
