"""The table: what is set down comes back, also as CSV, JSON lines and Parquet; what is no table of ours is refused."""

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from trojancam.errors import TrojanCamError
from trojancam.fleets import table as module
from trojancam.fleets.manifest import Entry
from trojancam.fleets.result import Result
from trojancam.fleets.table import COLUMNS, MIGRATIONS, Row, Table, export_csv, export_lines, export_parquet, read_rows

FOUND = Result(
    "done", "backdoor", suspicion=0.75, score=3.0, p_value=0.02, target_class=1, class_name="stop", place="top right",
    method="stimulation", accuracy=0.98, architecture="trojan2", parameters=1234, format="safetensors", would_run="",
    page="models/a/scan.html", seconds=1.5, megabytes=300.0, details={"opinions": {"abs": [1.0, None]}},
)  # fmt: skip
ENTRIES = [(0, Entry(path=Path("/a.pt"), file="a.pt")), (3, Entry(path=Path("/=b.pt"), file="=b.pt"))]


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Row, ...]:
    with Table(tmp_path / "fleet.sqlite") as table:
        table.begin(ENTRIES, {"task": "scan", "settings": {"seed": 0}})
        table.finish(0, FOUND, "12ab", "unit-key")
        assert table.about() == {"task": "scan", "settings": '{"seed": 0}'}
        return table.rows()


def test_rows_come_back(rows: tuple[Row, ...], tmp_path: Path) -> None:
    assert rows == (Row(0, "a.pt", "/a.pt", "12ab", "unit-key", FOUND), Row(3, "=b.pt", "/=b.pt", None, None, None))
    assert rows == read_rows(tmp_path / "fleet.sqlite")


def test_a_new_manifest_takes_the_place_of_the_old_one(rows: tuple[Row, ...], tmp_path: Path) -> None:
    with Table(tmp_path / "fleet.sqlite") as table:
        table.begin(ENTRIES[1:], {})
        assert [(row.number, row.result) for row in table.rows()] == [(3, None)]


def test_csv_and_lines_hold_all_cells(rows: tuple[Row, ...], tmp_path: Path) -> None:
    export_csv(rows, tmp_path / "a.csv")
    export_lines(rows, tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == [row.plain() for row in rows]
    with (tmp_path / "a.csv").open(newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert tuple(cells[0]) == COLUMNS
    for name, value in lines[0].items():
        told = cells[0][name]
        assert (json.loads(told) if name == "details" else told) == (
            value if name == "details" else "" if value is None else str(value)
        )
    assert cells[1]["file"] == "'=b.pt"  # no formula
    assert cells[1]["state"] == "waiting"


def test_parquet_holds_all_cells(rows: tuple[Row, ...], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export_parquet(rows, tmp_path / "a.parquet")
    found = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    for row, cells in zip(rows, found, strict=True):
        assert cells | {"details": json.loads(cells["details"])} == row.plain() | {
            "details": row.plain()["details"] or {}
        }


def test_the_file_is_whole_at_any_moment_and_says_its_version(rows: tuple[Row, ...], tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "fleet.sqlite")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert other.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert other.execute("SELECT file FROM results WHERE verdict = 'backdoor' AND suspicion > 0.5").fetchall() == [
        ("a.pt",)
    ]
    other.close()


def test_an_older_file_is_migrated_and_keeps_its_rows(
    rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "ALTER TABLE results ADD COLUMN later TEXT DEFAULT 'x'"))
    with Table(tmp_path / "fleet.sqlite") as table:
        assert table.rows() == rows
        assert table.connection.execute("SELECT DISTINCT later FROM results").fetchall() == [("x",)]
        assert table.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    monkeypatch.undo()
    with pytest.raises(TrojanCamError, match="made by a newer TrojanCAM"):
        Table(tmp_path / "fleet.sqlite")


def test_a_migration_that_fails_leaves_the_old_file(
    rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "ALTER TABLE results ADD COLUMN later TEXT; CREATE TABLE results (a TEXT)"
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, failing))
    with pytest.raises(TrojanCamError, match="already exists"):
        Table(tmp_path / "fleet.sqlite")
    monkeypatch.undo()
    assert read_rows(tmp_path / "fleet.sqlite") == rows


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fleet.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(TrojanCamError, match="cannot use the table .* remove it"):
        Table(tmp_path / "fleet.sqlite")
    with pytest.raises(TrojanCamError, match="there is no table"):
        read_rows(tmp_path / "nothing.sqlite")
