"""Work on one model, in this process: each task gives what its command gives; what goes wrong is a result, too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import model, signs
from tests.cli.test_repair import _small, mine, trained

from trojancam.fleets import work
from trojancam.fleets.limits import Limits
from trojancam.fleets.manifest import Entry
from trojancam.fleets.result import Result
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Settings, Unit, Units
from trojancam.fleets.work import work_on

__all__ = ["_small", "mine", "model", "signs", "trained"]


def unit(path: Path, data: Path | None, **settings: Any) -> Unit:
    return Units(Settings(**settings), None, Path.cwd()).of(Entry(path=path, file=path.name, data=data))


def test_a_comparison(model: Path, signs: Path, tmp_path: Path) -> None:
    asked = unit(model, signs, task="compare", images=4, methods=("grad-cam", "random"))
    found = work_on(asked, Store(tmp_path))
    assert (found.state, found.verdict, found.architecture) == ("done", "compared", "trojan2")
    document = json.loads((tmp_path / str(found.page)).with_name("results.json").read_text())
    assert found.page == f"models/{asked.folder_name}/index.html"
    assert found.details["means"]["road"].keys() == {"grad-cam", "random"}
    assert document["over_layers"]["road"].keys() == {"grad-cam", "random"}
    assert Store(tmp_path).kept(asked, Limits()) == found
    assert not (tmp_path / "models" / asked.folder_name / "steps").exists()


def test_a_repair(trained: Path, signs: Path, tmp_path: Path, mine: Callable[[float], None]) -> None:
    mine(5.0)
    asked = unit(trained, signs, task="repair", images=4, methods=("mine",))
    found = work_on(asked, Store(tmp_path))
    assert found.state == "done", found.note
    assert found.verdict in ("repaired", "not repaired")
    assert found.method == "mine"
    folder = tmp_path / "models" / asked.folder_name
    ledger = json.loads((folder / "repair.json").read_text())
    assert found.verdict == ledger["ledger"]["verdict"]
    names = {path.name for path in folder.iterdir()}
    assert {"repair.html", "repair.json"} < names
    assert names & {"repaired.safetensors", "not-repaired.safetensors"}
    assert found.score == pytest.approx(5.0 / 2.9)


def test_a_repair_of_what_has_no_backdoor(
    trained: Path, signs: Path, tmp_path: Path, mine: Callable[[float], None]
) -> None:
    mine(1.0)
    found = work_on(unit(trained, signs, task="repair", images=2, methods=("mine",)), Store(tmp_path))
    assert (found.state, found.verdict, found.page) == ("done", "nothing found", None)
    assert list((tmp_path / "models").iterdir()) == []


def test_an_inspection_with_images(trained: Path, signs: Path, tmp_path: Path) -> None:
    found = work_on(unit(trained, signs, task="inspect"), Store(tmp_path))
    if found.state == "refused":  # as the command: of twelve images no preprocessing is clearly right
        assert "preprocessing" in found.note
    assert (found.would_run, found.format) == ("", "safetensors")
    plain = work_on(unit(trained, None, task="inspect"), Store(tmp_path))
    assert (plain.verdict, plain.accuracy, plain.details["classes"]) == ("opened", None, 3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_memory_that_lacked_where_nothing_can_be_raised_is_no_result(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lacking:
        def __del__(self) -> None:
            raise MemoryError("no room")

    real = work.TASKS["inspect"]

    def inspected(*given: Any) -> Result:
        Lacking()
        return real(*given)

    monkeypatch.setitem(work.TASKS, "inspect", inspected)
    assert work_on(unit(model, None, task="inspect"), Store(tmp_path)).state == "memory"


def test_a_file_that_was_changed_meanwhile_is_no_result_of_the_old_one(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(model.read_bytes())
    asked = unit(path, None, task="inspect")
    path.write_bytes(b"another")
    found = work_on(asked, Store(tmp_path))
    assert found.state == "fault"
    assert "has changed since the fleet began" in found.note
    assert Store(tmp_path).kept(asked, Limits()) is None


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (MemoryError("no room"), "memory", "it takes more memory than a model may (no room)"),
        (RuntimeError("[enforce fail] can't allocate memory: you tried 8 bytes"), "memory", "it takes more memory"),
        (ZeroDivisionError("oh"), "fault", "a fault of its own (ZeroDivisionError: oh)"),
        (SystemExit(0), "fault", "a fault of its own (SystemExit: 0)"),
        (BaseException("a pointer is null"), "fault", "a fault of its own (BaseException: a pointer is null)"),
    ],
)
def test_what_goes_wrong_is_a_result(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, said: str
) -> None:
    def fail(*_: object) -> Result:
        raise error

    monkeypatch.setitem(work.TASKS, "inspect", fail)  # type: ignore[arg-type]
    asked = unit(model, None, task="inspect")
    found = work_on(asked, Store(tmp_path))
    assert (found.state, found.verdict, found.suspicion) == (state, "not judged", 0.5)
    assert said in found.note
    assert Store(tmp_path).result(asked) == found
    assert (Store(tmp_path).kept(asked, Limits()) is None) == (state == "fault")
