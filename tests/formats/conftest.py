"""What came of all hostile files: opened once, in processes of their own, for all tests that ask."""

import json
import os
from dataclasses import asdict

import pytest
from filelock import FileLock
from tests.formats.hostile_cases import Outcome, outcomes


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """By format and name, as in `CASES`; where several processes test, the first that asks opens the files for all."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return outcomes(tmp_path_factory.mktemp("hostile"))
    kept = folder.parent / "hostile.json"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            found = outcomes(tmp_path_factory.mktemp("hostile"))
            partial = kept.with_suffix(".partial")
            partial.write_text(json.dumps([asdict(each) for each in found.values()]), encoding="utf-8")
            partial.rename(kept)
        return {each["key"]: Outcome(**each) for each in json.loads(kept.read_text(encoding="utf-8"))}
