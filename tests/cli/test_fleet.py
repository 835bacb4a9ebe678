"""`trojancam fleet`: the rows are the tasks' own results, and the exit code is that of the worst."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from click.testing import Result

Run = Callable[..., Result]


def test_a_scan_of_a_fleet_is_the_scan_of_each(run: Run, model: Path, signs: Path, tmp_path: Path) -> None:
    brief = (
        "--set",
        "stimulation.rounds=2",
        "--set",
        "stimulation.candidates=1",
        "--set",
        "stimulation.search_images=4",
    )
    options = ("--data", signs, "--images", 8, "--methods", "stimulation", *brief, "--seed", 1)
    (tmp_path / "shelf.csv").write_text(f"path\n{model}\nmissing.pt\n")
    found = run("fleet", "shelf.csv", *options, "--out", "out")
    alone = run("scan", model, *options, "--out", "alone")
    document = json.loads((tmp_path / "alone" / "scan.json").read_text())
    row, missing = (json.loads(line) for line in (tmp_path / "out" / "fleet.jsonl").read_text().splitlines())
    assert found.exit_code == 3 == alone.exit_code
    assert row["verdict"] == document["verdict"] == "not judged"
    assert row["score"] == document["score"] / document["threshold"]
    assert row["accuracy"] == document["judgement"]["accuracy"]["value"]
    assert row["note"] == document["judgement"]["reason"]
    assert row["details"]["opinions"] == document["opinions"]
    assert row["suspicion"] == 0.5
    page = tmp_path / "out" / row["page"]
    assert json.loads((page.parent / "scan.json").read_text())["findings"] == document["findings"]
    assert sorted(path.name for path in page.parent.iterdir()) == ["scan.html", "scan.json"]
    assert missing["state"] == "refused"
    assert "2 models: 2 not judged" in found.stdout
    assert "missing.pt: not judged: there is no model file" in found.stdout


def test_an_error_in_the_manifest_is_one_sentence(refused: Callable[..., str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "shelf.csv").write_text("path,architcture\na.pt,b\n")
    assert "shelf.csv, line 1: unknown column 'architcture'" in refused("fleet", "shelf.csv")
    assert "nowhere is missing" in refused("fleet", "nowhere")
    told = run("fleet", "shelf.csv", "--format", "json")
    assert (told.exit_code, json.loads(told.stdout)["command"]) == (2, "fleet")
    assert "unknown task" in refused("fleet", "shelf.csv", "--task", "scna")


def test_machines_get_every_row(run: Run, tmp_path: Path) -> None:
    """No process is begun for files that are not there."""
    (tmp_path / "shelf.jsonl").write_text('{"path": "a.pt"}\n{"path": "b.pt"}\n')
    told = run("fleet", "shelf.jsonl", "--task", "inspect", "--format", "junit")
    suites = ElementTree.fromstring(told.stdout)
    assert told.exit_code == 3
    assert [suite.get("name") for suite in suites.iter("testsuite")] == [
        "trojancam fleet a.pt",
        "trojancam fleet b.pt",
    ]
    assert len(list(suites.iter("error"))) == 2
    told = run("fleet", "shelf.jsonl", "--task", "inspect", "--format", "sarif")
    results = json.loads(told.stdout)["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["TC900", "TC900"]
    assert "fleet.html" in told.stderr
