"""`trojancam sift`: files, folders, patterns and standard input; a table, a page and lines of JSON; exit codes; bad input."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from junitparser import JUnitXml
from PIL import Image
from typer.testing import CliRunner

import trojancam.report.sift
from trojancam.cli import app
from trojancam.data import load_dataset
from trojancam.opening.open import load
from trojancam.tasks.sift import sift

Run = Callable[..., Result]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.sift, "DPI", 40)  # drawing takes long


@pytest.fixture
def folder(tmp_path: Path, signs: Path) -> Path:
    """Two images of the data set, and one that is like none of them."""
    found = tmp_path / "in"
    found.mkdir()
    for number, file in enumerate(sorted((signs / "train" / "stop").iterdir())[:2]):
        (found / f"{number}.png").write_bytes(file.read_bytes())
    Image.new("RGB", (32, 32), "magenta").save(found / "odd.png")
    return found


def options(signs: Path) -> list[object]:
    return ["--data", signs, "--clean", 12, "--false-alarms", 0.2, "--out", "out", "--seed", 1]


def results(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((path / "results.json").read_text())
    return document


def test_it_says_what_the_library_says(run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path) -> None:
    done = run("sift", model, folder, *options(signs), "--methods", "contributions,strip")
    written = results(tmp_path / "out")
    network = load(model)
    clean, _ = load_dataset(signs, training=False).test.take(12, 1)
    own = sift(network, folder, clean, ["contributions", "strip"], false_alarms=0.2, seed=1)
    assert [image["file"] for image in written["images"]] == list(own.names)
    for name, each in own.methods.items():
        found = [image["methods"][name] for image in written["images"]]
        assert [one["score"] for one in found] == pytest.approx(each.scores.tolist(), rel=1e-5)
        assert [one["p_value"] for one in found] == pytest.approx(each.p_values.tolist())
        assert written["methods"][name]["threshold"] == pytest.approx(each.threshold)
    assert [image["suspicious"] for image in written["images"]] == own.suspicious.tolist()
    assert own.suspicious.tolist()[2]  # magenta all over
    assert written["settings"]["command"].startswith("trojancam sift ")
    assert done.exit_code == 1
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "odd.png" in page
    assert "suspicious" in done.stdout
    assert len(repr(own).splitlines()) == 5


def test_lines_of_json_are_one_for_each_image_and_lie_beside_the_page(
    run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path
) -> None:
    done = run("sift", model, folder, *options(signs), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines == results(tmp_path / "out")["images"]
    beside = (tmp_path / "out" / "images.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in beside] == lines
    assert len(lines) == 3


def test_nothing_suspicious_ends_with_0(run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "odd.png").unlink()
    (folder / "1.png").unlink()
    done = run("sift", model, folder / "0.png", *options(signs))
    assert results(tmp_path / "out")["suspicious"] == 0
    assert done.exit_code == 0
    assert "nothing suspicious" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_files_are_named_by_a_pattern_and_on_standard_input(
    run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path
) -> None:
    run("sift", model, folder / "[01].png", *options(signs))
    by_pattern = [image["file"] for image in results(tmp_path / "out")["images"]]
    assert by_pattern == [str(folder / "0.png"), str(folder / "1.png")]
    words = ["sift", str(model), "-", *map(str, options(signs))]
    done = CliRunner().invoke(app, words, input="\n".join(reversed(by_pattern)) + "\n")
    assert done.exit_code in (0, 1)
    assert [image["file"] for image in results(tmp_path / "out")["images"]] == by_pattern[::-1]


def test_images_that_cannot_be_read_are_listed_and_the_others_done(
    run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "0.png").write_bytes(b"no image")
    done = run("sift", model, folder, folder / "missing.png", *options(signs))
    assert [Path(image["file"]).name for image in results(tmp_path / "out")["images"]] == ["1.png", "odd.png"]
    left_out = results(tmp_path / "out")["left_out"]
    assert [line.partition(": ")[0] for line in left_out] == [str(folder / "0.png"), str(folder / "missing.png")]
    assert done.stderr.count("left out:") == 2
    assert done.exit_code == 1  # odd.png is suspicious
    (folder / "odd.png").unlink()
    done = run("sift", model, folder, *options(signs))
    assert done.exit_code == (1 if results(tmp_path / "out")["suspicious"] else 2)


def test_names_that_are_no_text_are_escaped(run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "odd.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    done = run("sift", model, folder, *options(signs))
    assert "caf\\xe9.png" in [Path(image["file"]).name for image in results(tmp_path / "out")["images"]]
    assert "caf\\xe9.png" in (tmp_path / "out" / "images.jsonl").read_text(encoding="utf-8").replace("\\\\", "\\")
    assert done.exit_code == 1


def test_bad_input_ends_in_one_sentence(refused: Refused, model: Path, signs: Path, folder: Path) -> None:
    few = refused("sift", model, folder, "--data", signs, "--clean", 12)
    assert few == (
        "0.01 false alarms need at least 198 clean images, half of which set the threshold, but there are 12; give more, or "
        "allow more false alarms"
    )
    assert refused("sift", model, folder / "*.gif", *options(signs)).startswith("no file fits")
    assert "did you mean 'strip'" in refused("sift", model, folder, *options(signs), "--methods", "stripp")
    assert "missing.png is missing; give image files" in refused("sift", model, folder / "missing.png", *options(signs))
    assert "between 0 and 1" in refused("sift", model, folder, "--data", signs, "--clean", 12, "--false-alarms", 2)
    assert "names no image" in refused("sift", model, "-", *options(signs))
    for file in folder.iterdir():
        file.unlink()
    assert "holds no image" in refused("sift", model, folder, *options(signs))


def test_the_input_filter_asks_for_the_scan_of_this_network(
    refused: Refused, model: Path, signs: Path, folder: Path, tmp_path: Path
) -> None:
    asked = ("sift", model, folder, *options(signs), "--methods", "input-filter")
    assert "recovered from this network; give its scan.json with --scan" in refused(*asked)
    assert "there is no file missing.json; give --scan a file that is there" in refused(
        *asked, "--scan", "missing.json"
    )
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "is not what 'trojancam scan' writes" in refused(*asked, "--scan", other)
    assert not (tmp_path / "out").exists()


def test_one_object_for_machines_and_a_red_test_for_a_suspicious_image(
    run: Run, model: Path, signs: Path, folder: Path, tmp_path: Path
) -> None:
    done = run("sift", model, folder, *options(signs), "--format", "json")
    assert json.loads(done.stdout) == results(tmp_path / "out")
    assert "images suspicious" in done.stderr
    done = run("sift", model, folder, *options(signs), "--format", "junit")
    (suite,) = JUnitXml.fromstring(done.stdout.encode())
    red = {case.name for case in suite if case.result}
    assert red == {image["file"] for image in results(tmp_path / "out")["images"] if image["suspicious"]}
