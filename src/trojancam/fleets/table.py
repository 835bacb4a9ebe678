"""Table: a fleet's results in SQLite, one row for each row of the manifest; what is in it can be made again from the store."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trojancam.errors import ModelError, Remedy, TrojanCamError
from trojancam.files import written_whole
from trojancam.fleets.manifest import Entry
from trojancam.fleets.result import Result
from trojancam.showing import Brief

WAITING = "waiting"
TYPES = {"suspicion": "REAL", "score": "REAL", "p_value": "REAL", "accuracy": "REAL", "seconds": "REAL",
         "megabytes": "REAL", "limit": "REAL", "target_class": "INTEGER", "parameters": "INTEGER"}  # fmt: skip
RESULT = tuple(each.name for each in fields(Result))
OWN = ("number", "file", "path", "sha256", "unit")
COLUMNS = (*OWN, *RESULT)
CELLS = ", ".join(f'"{name}"' for name in COLUMNS)
FIRST = ", ".join(f'"{name}" {TYPES.get(name, "TEXT")}' for name in RESULT)

MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE results (number INTEGER PRIMARY KEY, file TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT, unit TEXT, {FIRST});
    CREATE INDEX results_by_verdict ON results (verdict);
    CREATE INDEX results_by_unit ON results (unit);
    """,
    "ALTER TABLE results ADD COLUMN digest TEXT",  # the SHA-256 of the other cells; an older row has none
)
"""What leads from each version of the schema to the next; the file says in `user_version` how many were done."""


@dataclass(frozen=True)
class Row(Brief):
    """A row of the manifest by its number, its file and SHA-256, the key of its unit of work, and what became of it."""

    number: int
    file: str
    path: str
    sha256: str | None
    unit: str | None
    result: Result | None

    def plain(self) -> dict[str, Any]:
        """All cells by the names of their columns."""
        told = dict.fromkeys(RESULT) | {"state": WAITING} if self.result is None else self.result.to_json()
        return {
            "number": self.number,
            "file": self.file,
            "path": self.path,
            "sha256": self.sha256,
            "unit": self.unit,
            **told,
        }


class Table:
    """The table of a fleet in a file, which is whole after a kill at any moment (SQLite with a write-ahead log).

    Raises:
        TrojanCamError: if the file is no such table, was made by a newer TrojanCAM, or cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Table(Path(folder, "fleet.sqlite")) as table:
    ...     table.begin([(0, Entry(path=Path("/a.pt"), file="a.pt"))], {"task": "scan"})
    ...     table.finish(0, Result("done", "nothing found"))
    ...     [(row.file, row.result.verdict) for row in table.rows()]
    [('a.pt', 'nothing found')]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._sentences():
            self.connection = sqlite3.connect(path, isolation_level=None)
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
                self._migrate()
            except BaseException:
                self.connection.close()
                raise

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def begin(self, entries: Iterable[tuple[int, Entry]], about: Mapping[str, Any]) -> None:
        """Put the rows of a manifest in place of all that there are; none of them has a result.

        Raises:
            TrojanCamError: if the file cannot be written.
        """
        rows = [(place, entry.file, str(entry.path).encode(errors="replace").decode()) for place, entry in entries]
        with self._sentences(), self._whole():
            self.connection.execute("DELETE FROM results")
            self.connection.execute("DELETE FROM about")
            self.connection.executemany(
                f"INSERT INTO results (number, file, path, state) VALUES (?, ?, ?, '{WAITING}')", rows
            )
            self._seal()
            told = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in about.items()]
            self.connection.executemany("INSERT INTO about VALUES (?, ?)", told)

    def finish(self, place: int, result: Result, sha256: str | None = None, unit: str | None = None) -> None:
        """Set down what became of the row at a place.

        Raises:
            TrojanCamError: if the file cannot be written.
        """
        told = result.to_json() | {"sha256": sha256, "unit": unit}
        told["details"] = json.dumps(told["details"])
        names = ", ".join(f'"{name}" = ?' for name in told)
        with self._sentences(), self._whole():
            self.connection.execute(f"UPDATE results SET {names} WHERE number = ?", (*told.values(), place))
            self._seal("WHERE number = ?", place)

    def rows(self) -> tuple[Row, ...]:
        """All rows in the order of the manifest.

        Raises:
            TrojanCamError: if the file is damaged.
        """
        with self._sentences():
            ((sound,),) = self.connection.execute("PRAGMA quick_check(1)").fetchall()
            found = self.connection.execute(f"SELECT digest, {CELLS} FROM results ORDER BY number").fetchall()
            if sound != "ok" or any(digest not in (None, _digest(cells)) for digest, *cells in found):
                raise sqlite3.DatabaseError("it is damaged")
        return tuple(_row(dict(zip(COLUMNS, cells, strict=True))) for _, *cells in found)

    def about(self) -> dict[str, str]:
        """What was said of the fleet."""
        with self._sentences():
            return dict(self.connection.execute("SELECT name, value FROM about").fetchall())

    def _seal(self, which: str = "", *values: int) -> None:
        """Set down the SHA-256 of rows as they are read: SQLite itself notices no bit that flips within a cell."""
        rows = self.connection.execute(f"SELECT {CELLS} FROM results {which}", values).fetchall()
        sealed = [(_digest(cells), cells[0]) for cells in rows]
        self.connection.executemany("UPDATE results SET digest = ? WHERE number = ?", sealed)

    def _version(self) -> int:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _migrate(self) -> None:
        """Bring an older file to the schema of today.

        Raises:
            TrojanCamError: if it was made by a newer TrojanCAM.
        """
        version = self._version()
        if version > len(MIGRATIONS):
            raise TrojanCamError(
                f"{self.path} was made by a newer TrojanCAM; update this one, or choose another folder"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            with self._whole():
                if self._version() >= number:
                    continue  # another process did it meanwhile
                for statement in filter(str.strip, script.split(";")):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All of the statements, or none."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise TrojanCamError(
                f"cannot use the table {self.path} ({error}); remove it, and the same command makes it again"
            ) from None


def read_rows(path: str | Path) -> tuple[Row, ...]:
    """The rows of a fleet's table.

    Raises:
        TrojanCamError: if there is no such table, or it is damaged.
    """
    if not Path(path).is_file():
        raise TrojanCamError(f"there is no table {path}; 'trojancam fleet' makes one")
    with Table(Path(path)) as table:
        return table.rows()


def _digest(cells: Sequence[Any]) -> str:
    """The SHA-256 of cells; one that is damaged may hold bytes, which JSON has not."""
    return hashlib.sha256(json.dumps(list(cells), default=repr).encode()).hexdigest()


def _row(cells: dict[str, Any]) -> Row:
    own = {name: cells.pop(name) for name in OWN}
    if cells["state"] == WAITING:
        return Row(**own, result=None)
    cells["details"] = json.loads(cells["details"])
    return Row(**own, result=Result.from_json(cells))


def export_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a CSV table; what a task measured beside is JSON in the last column.

    Raises:
        TrojanCamError: if it cannot be written.
    """
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for row in rows:
            cells = row.plain()
            cells["details"] = json.dumps(cells["details"] or {})
            writer.writerow({name: _harmless(value) for name, value in cells.items()})


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a file's name is whatever its maker likes."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def export_lines(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON, one object a line.

    Raises:
        TrojanCamError: if it cannot be written.
    """
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row.plain()) + "\n")


def export_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a Parquet table; what a task measured beside is JSON in the last column.

    Raises:
        ModelError: if pyarrow is not installed.
        TrojanCamError: if it cannot be written.
    """
    pyarrow, parquet = parquet_writer()
    kinds = {"REAL": pyarrow.float64(), "INTEGER": pyarrow.int64()}
    types = {name: kinds[TYPES[name]] if name in TYPES else pyarrow.string() for name in COLUMNS}
    types["number"] = pyarrow.int64()
    cells = [row.plain() for row in rows]
    for each in cells:
        each["details"] = json.dumps(each["details"] or {})
    table = pyarrow.table({name: pyarrow.array([each[name] for each in cells], kind) for name, kind in types.items()})
    with written_whole(path) as partial:
        parquet.write_table(table, partial)


def parquet_writer() -> tuple[Any, Any]:
    """The library that writes Parquet.

    Raises:
        ModelError: if it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ModelError("writing Parquet needs pyarrow", Remedy.INSTALL, detail="'trojancam[fleet]'") from None
    return pyarrow, pyarrow.parquet
