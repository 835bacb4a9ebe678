"""What came of all hostile files: opened once, in a process of its own, for all tests that ask."""

import pytest
from tests.formats.hostile_cases import Outcome, outcomes


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """By format and name, as in `CASES`."""
    return outcomes(tmp_path_factory.mktemp("hostile"))
