"""Fixtures that every test may use."""

import gc
import itertools
import os
from pathlib import Path

import pytest
from tests.browsers import axe, browser
from tests.shared import shared

__all__ = ["axe", "browser", "shared"]

_numbers = itertools.count()


def pytest_collection_finish() -> None:
    """Modules, tests and libraries stay for good: the collector of garbage need not look through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def gtsrb_path() -> Path:
    """The real benchmark, kept beside the project: `$TROJANCAM_GTSRB` or ../shared/data."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("TROJANCAM_GTSRB") or beside)
    if not (path / "gtsrb32-train.npz").is_file():
        pytest.skip(f"no gtsrb32-train.npz in {path}; set TROJANCAM_GTSRB to the folder of GTSRB as NumPy arrays")
    return path


@pytest.fixture(autouse=True)
def _cache_in_a_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the cache of whoever runs it; the folder is made by what fills it."""
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path_factory.getbasetemp() / "caches" / str(next(_numbers))))
