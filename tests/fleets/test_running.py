"""A fleet: every model becomes a row, whatever it does; what is done is not done again, however the run was ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.fleets.shelf import ROOT, broken, good, hostile, timeless, weights

import trojancam as tc
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.fleets.running import Fleet
from trojancam.fleets.table import read_rows
from trojancam.kept import read_step

GOOD = 4


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, broken and hostile files."""
    folder = tmp_path_factory.mktemp("shelf")
    models = [good(folder / f"good-{number}.pt2", number) for number in range(GOOD)]
    broken(folder, models[0])
    hostile(folder, folder / "canary")
    return folder


@pytest.fixture(scope="module")
def run(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return tc.fleet(shelf, "inspect", jobs=2, out=tmp_path_factory.mktemp("fleet"))


def test_every_file_is_a_row_and_nothing_in_them_runs(run: Fleet, shelf: Path) -> None:
    assert not (shelf / "canary").exists()
    assert len(run.rows) == GOOD + 3 + 5
    verdicts = {row.file: (row.result.state, row.result.verdict) for row in run.rows if row.result}
    assert {name for name, said in verdicts.items() if said == ("done", "opened")} == {
        f"good-{number}.pt2" for number in range(GOOD)
    }
    refused = [row.result for row in run.rows if row.result and row.result.state == "refused"]
    assert len(refused) == 3 + 5
    assert all(each.suspicion == 0.5 and each.note for each in refused)
    assert run.exit_code == 3
    runs = {row.file: row.result.would_run for row in run.rows if row.result}
    assert runs["hostile-0.pt"]
    assert runs["good-0.pt2"] == ""
    assert f"{GOOD + 8} models: 8 not judged, {GOOD} opened" in repr(run)


def test_the_table_is_the_result(run: Fleet) -> None:
    assert read_rows(run.table) == run.rows
    assert len((run.folder / "fleet.csv").read_text().splitlines()) == len(run.rows) + 1
    lines = [json.loads(line) for line in (run.folder / "fleet.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [row.file for row in run.rows]
    first = run.rows[-1]
    assert first.sha256 is not None
    assert first.unit is not None
    step = read_step(run.folder / "done" / f"{first.unit}.kept")
    assert step is not None
    assert step.data == first.result.to_json()  # type: ignore[union-attr]


def test_what_is_done_is_not_done_again(run: Fleet, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a process is started; a copy of a file and one that is missing are rows like the others."""
    (shelf.parent / "more.csv").write_text(f"path\n{shelf}/good-1.pt2\n{shelf}/text.pt\n{shelf}/missing.pt\n")
    monkeypatch.setattr("trojancam.processes.begun", None)
    again = tc.fleet(shelf, "inspect", jobs=2, out=run.folder)
    assert again.rows == run.rows
    other = tc.fleet(shelf.parent / "more.csv", "inspect", out=run.folder)
    assert [row.result.verdict for row in other.rows if row.result] == ["opened", "not judged", "not judged"]
    assert "there is no model file" in other.rows[2].result.note  # type: ignore[union-attr]
    parts = [tc.fleet(shelf, "inspect", shard=(number, 2), out=run.folder) for number in (1, 2)]
    assert sorted((row for each in parts for row in each.rows), key=lambda row: row.number) == list(run.rows)
    assert [each.table.name for each in parts] == ["fleet-1-of-2.sqlite", "fleet-2-of-2.sqlite"]
    assert tc.fleet(shelf, "inspect", out=run.folder).rows == run.rows


@pytest.fixture(scope="module")
def misbehaved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of files whose architecture hangs, eats memory, is killed, or leaves; and of the file after them."""
    folder = tmp_path_factory.mktemp("bad")
    weights(folder / "w.pt")
    names = ("hang", "hungry", "dying", "failing")
    rows = [{"path": "w.pt", "architecture": f"tests.fleets.misbehaving:{name}"} for name in names]
    (folder / "m.jsonl").write_text("\n".join(json.dumps(row) for row in [*rows, {"path": "w.pt"}]))
    was = Path.cwd()
    os.chdir(ROOT)  # from where the architectures are imported
    try:
        found = tc.fleet(folder / "m.jsonl", "inspect", deadline=12, memory="2G", jobs=2, out=folder / "out")
    finally:
        os.chdir(was)
    results = [row.result for row in found.rows]
    return dict(zip([*names, "last"], results, strict=True)) | {"folder": folder, "code": found.exit_code}


def test_a_model_that_breaks_its_process_is_a_row(misbehaved: dict[str, Any]) -> None:
    assert misbehaved["code"] == 3
    hang, hungry, dying, failing, last = (misbehaved[name] for name in ("hang", "hungry", "dying", "failing", "last"))
    assert (hang.state, hang.note, hang.limit) == ("deadline", "it takes longer than 12 s", 12)
    assert hungry.state == "memory"
    assert hungry.limit == 2 << 30
    assert hungry.megabytes < 2500
    assert dying.state == "killed"
    assert "ended twice without a result (it was ended by SIGKILL)" in dying.note
    assert failing.state == "refused"  # as the command itself says it
    assert last.state == "refused"
    assert "holds weights without a network" in last.note
    assert {each.verdict for each in (hang, hungry, dying, failing, last)} == {"not judged"}


def test_limits_that_were_reached_count_for_limits_no_larger(misbehaved: dict[str, Any]) -> None:
    store = tc.fleets.store.Store(misbehaved["folder"] / "out")
    rows = read_rows(misbehaved["folder"] / "out" / "fleet.sqlite")
    entries = tc.fleets.read_manifest(misbehaved["folder"] / "m.jsonl")
    units = tc.fleets.unit.Units(tc.fleets.unit.Settings(task="inspect"), None, ROOT)
    hang, hungry, dying, *_ = (units.of(entry) for entry in entries)
    assert [rows[0].unit, rows[1].unit, rows[2].unit] == [hang.key, hungry.key, dying.key]
    less = tc.fleets.limits.Limits(seconds=5, memory=1 << 30)
    more = tc.fleets.limits.Limits(seconds=50, memory=8 << 30)
    assert store.kept(hang, less) is not None
    assert store.kept(hang, more) is None
    assert store.kept(hungry, less) is not None
    assert store.kept(hungry, more) is None
    assert store.kept(dying, less) is None  # it may live next time


def test_settings_are_refused_before_any_model_is_touched(shelf: Path, tmp_path: Path) -> None:
    refused: list[tuple[dict[str, Any], type[TrojanCamError], str]] = [
        ({"task": "scann"}, UnknownNameError, "did you mean 'scan'"),
        ({"methods": "stimulaton"}, UnknownNameError, "did you mean 'stimulation'"),
        ({"settings": ["stimulation.nothing=1"]}, UnknownNameError, "unknown setting"),
        ({"task": "inspect", "methods": "abs"}, DataError, "the task inspect takes no methods"),
        ({"task": "repair", "methods": ("ladder", "fine-tuning")}, DataError, "a repair has one method, not 2"),
        ({"images": 2}, DataError, "needs 4 images or more"),
        ({"deadline": "soon"}, DataError, "a deadline is a time"),
        ({"memory": "lots"}, DataError, "memory is an amount"),
        ({"jobs": 0}, DataError, "at least one model"),
        ({"shard": "5/2"}, DataError, "a shard is a number"),
        ({"reference": tmp_path / "no.json"}, TrojanCamError, "no.json"),
        ({"budget": "little"}, DataError, "a budget is a number"),
    ]
    for options, kind, said in refused:
        with pytest.raises(kind, match=said):
            tc.fleet(shelf, **{"out": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def begun(shelf: Path, out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "trojancam", "fleet", str(shelf), "--task", "inspect", "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, cwd=out.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def processes_of(out: Path) -> list[int]:
    """Processes that work for a fleet in this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"trojancam.fleets.forking" in words and str(out).encode() in words:
            found.append(int(place.name))
    return found


def until(true: Any, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_kills_change_nothing(run: Fleet, shelf: Path, tmp_path: Path) -> None:
    """Of the process of a model, of the one that starts these, and of the driver; nothing is left behind, nor done twice."""
    out = tmp_path / "out"

    def done() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (out / "done").glob("*.kept")}

    with begun(shelf, out) as process:
        until(lambda: len(done()) >= 1 and len(processes_of(out)) == 2)
        os.kill(max(processes_of(out)), signal.SIGKILL)
        until(lambda: len(done()) >= 3)
        old = processes_of(out)
        os.kill(min(old), signal.SIGKILL)
        until(lambda: not set(old) & set(processes_of(out)))
        until(lambda: len(done()) >= 5)
        process.kill()
    until(lambda: not processes_of(out))
    before = done()
    assert 5 <= len(before) < len(run.rows)
    found = tc.fleet(shelf, "inspect", jobs=2, out=out)
    assert timeless(found.rows) == timeless(run.rows)
    assert {path: when for path, when in done().items() if path in before} == before
