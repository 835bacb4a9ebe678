"""Results: JSON and back, the exit code, and the suspicion of what is not judged."""

import itertools

import pytest

from trojancam.fleets.result import Result, exit_code, suspicion

CODES = {
    "backdoor": 1,
    "inconclusive": 3,
    "not judged": 3,
    "not repaired": 3,
    "nothing found": 0,
    "opened": 0,
    "repaired": 0,
}


def test_json_and_back() -> None:
    found = Result("done", "backdoor", suspicion=0.7, target_class=3, details={"opinions": {"abs": [1, None]}})
    assert Result.from_json(found.to_json()) == found


@pytest.mark.parametrize("pair", list(itertools.product(CODES, repeat=2)))
def test_the_exit_code_is_that_of_the_worst(pair: tuple[str, str]) -> None:
    codes = {CODES[verdict] for verdict in pair}
    assert exit_code([Result("done", verdict) for verdict in pair]) == (1 if 1 in codes else max(codes))


def test_what_is_not_judged_is_as_suspicious_as_the_threshold() -> None:
    assert Result("deadline").suspicion == suspicion(1.0) == 0.5
    assert Result("deadline").verdict == "not judged"
    strengths = [0.0, 0.3, 1.0, 1.7, 40.0]
    assert sorted(strengths, key=suspicion) == strengths
    assert all(0 <= suspicion(each) < 1 for each in [-2.0, *strengths])
