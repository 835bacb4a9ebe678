"""Population: z-scores are those of each architecture by itself, held against NumPy in float64."""

from pathlib import Path

import numpy as np
import pytest

from trojancam.fleets.population import standings
from trojancam.fleets.result import Result
from trojancam.fleets.table import Row


def row(number: int, architecture: str, score: float | None, verdict: str = "nothing found", unit: str = "") -> Row:
    result = Result("done", verdict, score=score, architecture=architecture)
    return Row(number, f"{number}.pt", f"/{number}.pt", None, unit or str(number), result)


def test_each_architecture_has_a_median_and_a_spread_of_its_own() -> None:
    scores = {"resnet": [0.1, 0.3, 0.2, 4.0, 0.25, 0.15], "vit": [2.0, 2.5, 2.2, 1.0, 2.1]}
    rows = [
        row(len(name) * 10 + place, name, score) for name, many in scores.items() for place, score in enumerate(many)
    ]
    found = {each.row.number: each for each in standings(rows)}
    assert len(found) == len(rows)
    for name, many in scores.items():
        values = np.asarray(many)
        z = (values - np.median(values)) / (1.4826 * np.median(np.abs(values - np.median(values))))
        for place, expected in enumerate(z):
            told = found[len(name) * 10 + place]
            assert told.z == pytest.approx(expected, rel=1e-6)
            assert (told.architecture, told.networks) == (name, len(many))
    assert standings(rows)[0].row.file == "63.pt"


def test_what_has_no_score_no_verdict_or_too_few_beside_it_is_left_out() -> None:
    few = [row(number, "few", float(number)) for number in range(4)]
    equal = [row(10 + number, "equal", 1.0) for number in range(5)] + [row(15, "equal", 2.0)]
    unjudged = [row(20 + number, "unjudged", float(number), "not judged") for number in range(6)]
    missing = [row(30 + number, "missing", None) for number in range(6)]
    assert standings([*few, *equal, *unjudged, *missing, Row(40, "a", "/a", None, None, None)]) == []


def test_a_network_that_is_there_twice_counts_once_and_is_told_twice() -> None:
    rows = [row(number, "net", float(number**2)) for number in range(5)]
    copies = [*rows, row(9, "net", 16.0, unit="4"), row(10, "net", 16.0, unit="4")]
    alone, together = standings(rows), standings(copies)
    assert [each.z for each in together if each.row.number < 5] == [each.z for each in alone]
    assert [each.row.number for each in together[:3]] == [4, 9, 10]
    assert {each.networks for each in together} == {5}
    assert Path(together[0].row.path).name == "4.pt"
