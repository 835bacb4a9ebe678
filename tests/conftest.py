"""Fixtures that every test may use."""

import gc
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.browsers import axe, browser
from tests.shared import shared
from tests.warm import python

__all__ = ["axe", "browser", "python", "shared"]

_numbers = itertools.count()

# How long an example takes says nothing on machines that do other things, too.
settings.register_profile("shared machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machines")

# Files with long tests, the longest first: they begin a run of several processes, so that none of them works alone at its end.
LONG = (
    "tests/test_contract.py", "tests/documentation/test_guides.py", "tests/formats/keras/test_reader.py",
    "tests/formats/exported_program/test_reader.py", "tests/formats/test_hostile_files.py", "tests/fleets/test_running.py",
    "tests/test_hot_paths.py", "tests/cli/test_failures.py", "tests/study/test_reproduction.py",
    "tests/formats/test_fuzzing.py", "tests/report/browser/test_pages.py", "tests/formats/keras/test_end_to_end.py",
    "tests/test_package.py", "tests/documentation/test_site.py", "tests/formats/onnx/test_node_cases.py",
    "tests/detection/stimulation_maps/test_maps.py", "tests/explore/test_scans.py", "tests/cli/test_scan.py",
    "tests/fleets/test_dask_pool.py", "tests/test_processes.py", "tests/test_plug_ins.py", "tests/fleets/test_work.py",
    "tests/opening/test_odd_networks.py", "tests/cli/test_train.py", "tests/network/test_network.py",
)  # fmt: skip


def pytest_collectstart() -> None:
    """What is made until all tests are collected is hardly ever garbage: nobody looks for some."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONG)))


def pytest_collection_finish() -> None:
    """Modules, tests and libraries stay for good: the collector of garbage need not look through them again and again.

    What tests leave is little beside them: looking for it a tenth as often is enough.
    """
    gc.freeze()
    gc.set_threshold(10 * gc.get_threshold()[0], *gc.get_threshold()[1:])
    gc.enable()


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
