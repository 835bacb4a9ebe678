"""What takes long and several files of tests need: one process of a run makes it, the others wait and read it."""

import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from trojancam.errors import TrojanCamError
from trojancam.locks import only_run_on

Made = TypeVar("Made")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"


def made_once(folder: Path, make: Callable[[Path], Made]) -> Made:
    """What `make` gives when it works in this folder: the first who asks makes it."""
    made = folder.with_suffix(".made")
    with alone_on(folder):
        if not made.is_file():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir(parents=True)
            made.write_bytes(pickle.dumps(make(folder)))
        found: Made = pickle.loads(made.read_bytes())
    return found


@contextmanager
def alone_on(path: Path) -> Iterator[None]:
    """Wait until nobody else works on this path, then keep others from it."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(only_run_on(path))
                break
            except TrojanCamError:
                time.sleep(0.05)
        yield
